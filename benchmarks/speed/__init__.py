"""What `make bench` measures: each part beside a written-out baseline, in one process."""
