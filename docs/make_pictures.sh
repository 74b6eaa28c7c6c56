#!/usr/bin/env bash
# Draws the pictures of the README: docs/make_pictures.sh RUN (the folder of a finished demonstration).
set -euo pipefail
browser=$(command -v chromium || command -v google-chrome)
"$browser" --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1000,760 \
  --screenshot="$(dirname "$0")/pictures/report.png" "file://$(realpath "$1")/report/report.html"
