# Values of R for cohort.csv, one line each: name, tab, numbers. Recorded in reference.tsv by
#   Rscript reference.R cohort.csv > reference.tsv
suppressPackageStartupMessages({library(survival); library(prodlim); library(riskRegression)})
d <- read.csv(commandArgs(trailingOnly = TRUE)[1])
d$any <- as.integer(d$event > 0)
d$own <- as.integer(d$event == 1)
d$state <- factor(d$event, 0:2, c("censored", "event", "competing"))
d$id <- seq_len(nrow(d))
at <- c(0.5, 1, 2, 3, 4, 6)
h <- 4
say <- function(name, values) {
  cat(name, "\t", paste(sprintf("%.15g", as.numeric(values)), collapse = " "), "\n", sep = "")
}
curve <- function(name, fit) {
  s <- summary(fit, times = at)
  say(paste0(name, ".value"), s$surv)
  say(paste0(name, ".se"), s$std.err)
  say(paste0(name, ".low"), s$lower)
  say(paste0(name, ".high"), s$upper)
  say(paste0(name, ".at_risk"), s$n.risk)
}
km <- survfit(Surv(time, any) ~ 1, d, conf.type = "log-log")
curve("km", km)
km_entry <- survfit(Surv(entry, time, any) ~ 1, d, conf.type = "log-log")
curve("km_entry", km_entry)
for (p in c(0.25, 0.5)) {
  q <- quantile(km, p)
  say(paste0("km.quantile.", p), c(q$quantile, q$lower, q$upper))
}
say("follow_up", predict(prodlim(Hist(time, any) ~ 1, d, reverse = TRUE), times = at))
reversed <- survfit(Surv(fine_time, any == 0) ~ 1, d, conf.type = "log-log")
curve("follow_up_fine", reversed)
q <- quantile(reversed, 0.5)
say("follow_up_fine.median", c(q$quantile, q$lower, q$upper))
na <- summary(survfit(Surv(entry, time, any) ~ 1, d, stype = 2, ctype = 1), times = at)
say("nelson_aalen.value", na$cumhaz)
say("nelson_aalen.se", na$std.chaz)

aj <- function(name, fit) {
  s <- summary(fit, times = at)
  for (cause in c("event", "competing")) {
    k <- match(cause, fit$states)
    say(paste(name, cause, "value", sep = "."), s$pstate[, k])
    say(paste(name, cause, "se", sep = "."), s$std.err[, k])
    say(paste(name, cause, "low", sep = "."), s$lower[, k])
    say(paste(name, cause, "high", sep = "."), s$upper[, k])
  }
}
aj("aj", survfit(Surv(time, state) ~ 1, d, conf.type = "log-log", id = id))
aj("aj_fine", survfit(Surv(fine_time, state) ~ 1, d, conf.type = "log-log", id = id))
entry <- survfit(Surv(entry, time, state) ~ 1, d, id = id)
say("aj_entry.event.value", summary(entry, times = at)$pstate[, match("event", entry$states)])
d$to <- ifelse(d$event == 0, "cens", as.character(d$event))
moves <- data.frame(id = d$id, from = "0", to = d$to, entry = d$entry, exit = d$time)
tra <- matrix(FALSE, 3, 3)
tra[1, 2:3] <- TRUE
aalen <- etm::etm(moves, c("0", "1", "2"), tra, "cens", s = 0)
say("etm_entry.event.value", etm::trprob(aalen, "0 1", at))
say("etm_entry.event.se", sqrt(etm::trcov(aalen, "0 1", at)))
ci <- cmprsk::timepoints(cmprsk::cuminc(d$time, d$event), at)
say("cuminc.event.value", ci$est[1, ])
say("cuminc.event.var", ci$var[1, ])

for (g in 0:1) {
  table <- summary(survfit(Surv(entry, time, any) ~ 1, d[d$x2 == g, ]), rmean = h)$table
  say(paste0("rmst.", g), table[c("rmean", "se(rmean)")])
}
lr <- survdiff(Surv(time, any) ~ group, d)
say("log_rank.observed", lr$obs)
say("log_rank.expected", lr$exp)
say("log_rank.chi2", lr$chisq)
fine <- coxph(Surv(fine_entry, fine_time, any) ~ factor(group), d)
say("log_rank_entry.chi2", fine$score)

say("harrell", concordance(Surv(time, own) ~ score, d, reverse = TRUE)$concordance)
say("harrell_entry", concordance(Surv(entry, time, own) ~ score, d, reverse = TRUE)$concordance)
say("harrell_strata",
    concordance(Surv(entry, time, own) ~ score + strata(group), d, reverse = TRUE)$concordance)
say("harrell_weighted",
    concordance(Surv(entry, time, own) ~ score, d[d$weight > 0, ], weights = weight,
                reverse = TRUE)$concordance)
say("uno", concordance(Surv(time, own) ~ score, d, timewt = "n/G2", ymax = h,
                       reverse = TRUE)$concordance)
say("uno_fine", concordance(Surv(fine_time, own) ~ score, d, timewt = "n/G2", ymax = h,
                            reverse = TRUE)$concordance)

say("g_before", predict(prodlim(Hist(time, any) ~ 1, d, reverse = TRUE), times = at - 1e-9))
d$forever <- with(d, ifelse(event == 2, 1e6, time))
say("wolbers", concordance(Surv(forever, own) ~ score, d, reverse = TRUE)$concordance)
predictRisk.fixed <- function(object, newdata, times, ...) matrix(newdata$risk, nrow(newdata), length(times))
registerS3method("predictRisk", "fixed", predictRisk.fixed)
predictEventProb.fixed <- function(object, newdata, times, cause, ...) matrix(newdata$score + 5, nrow(newdata), length(times))
registerS3method("predictEventProb", "fixed", predictEventProb.fixed, envir = asNamespace("pec"))
fixed <- structure(list(call = quote(fixed())), class = "fixed")
suppressMessages(ci <- pec::cindex(list(m = fixed), Hist(fine_time, event) ~ 1, d, eval.times = h,
  pred.times = h, cause = 1, cens.model = "marginal", verbose = FALSE))
say("uno_competing_fine", ci$AppCindex$m)

risks <- matrix(d$risk, nrow(d), 3)
scored <- function(name, formula, ...) {
  s <- suppressMessages(Score(list(m = risks), formula, d, times = c(2, 3, 4), metrics = c("auc", "brier"),
    cens.model = "km", conf.int = FALSE, null.model = FALSE, ...))
  say(paste0(name, ".auc"), s$AUC$score$AUC)
  say(paste0(name, ".brier"), s$Brier$score$Brier)
}
scored("score", Hist(fine_time, any) ~ 1)
scored("score_competing", Hist(fine_time, event) ~ 1, cause = 1)
w <- pec::ipcw(Hist(time, any) ~ 1, d, method = "marginal", times = 2.9, subjectTimes = d$time,
               subjectTimesLag = 1, what = c("IPCW.times", "IPCW.subjectTimes"))
say("ipcw.horizon", w$IPCW.times)
say("ipcw.subject", w$IPCW.subjectTimes)

s <- function(data) 1 - summary(survfit(Surv(time, any) ~ 1, data), times = h, extend = TRUE)$surv
say("observed_over_expected", s(d) / mean(d$risk))
ajh <- function(data) {
  fit <- survfit(Surv(time, state) ~ 1, data, id = id)
  summary(fit, times = h, extend = TRUE)$pstate[, match("event", fit$states)]
}
say("observed_over_expected_competing", ajh(d) / mean(d$risk))
nb <- function(t, observed) {
  treated <- d[d$risk >= t, ]
  o <- observed(treated)
  nrow(treated) / nrow(d) * (o - (1 - o) * t / (1 - t))
}
say("net_benefit", sapply(c(0.1, 0.3, 0.5), nb, s))
say("net_benefit_competing", sapply(c(0.1, 0.3, 0.5), nb, ajh))
g <- prodlim(Hist(fine_time, any) ~ 1, d, reverse = TRUE)
weight <- sapply(pmin(d$fine_time, h) - 1e-9, function(t) 1 / predict(g, times = t))
known <- d$fine_time >= h | d$any == 1
cll <- log(-log(1 - d$risk))
for (cause in c("any", "own")) {
  case <- as.numeric(d[[cause]] == 1 & d$fine_time <= h)
  tight <- glm.control(epsilon = 1e-14, maxit = 100)
  fit <- function(f) glm(f, quasibinomial("cloglog"), weights = weight, subset = known, control = tight)
  say(paste0("calibration.", cause), c(coef(fit(case ~ offset(cll))), coef(fit(case ~ cll))[2]))
}
expected <- -log(1 - d$risk) * d$time / h
crude <- function(f) coef(glm(f, poisson, d, control = tight))
say("hazard_calibration", c(crude(own ~ offset(log(expected))),
                            crude(own ~ score + offset(log(expected) - score))[2]))

say("cox.loglik", coxph(Surv(entry, time, own) ~ offset(score), d, ties = "efron")$loglik)
say("cox.loglik_weighted", coxph(Surv(entry, time, own) ~ offset(score), d, weights = weight + 1,
                                 ties = "efron")$loglik)
tight <- coxph.control(eps = 1e-13, toler.chol = 1e-14, iter.max = 60)
cox <- coxph(Surv(entry, time, own) ~ x1 + x2 + x3, d, ties = "efron", control = tight)
say("cox.coef", coef(cox))
say("cox.se", sqrt(diag(vcov(cox))))
say("cox.fit_loglik", cox$loglik)
wcox <- coxph(Surv(entry, time, own) ~ x1 + x2 + x3, d, weights = weight + 1, control = tight)
say("cox_weighted.coef", coef(wcox))
ridge <- coxph(Surv(entry, time, own) ~ ridge(x1, x2, x3, theta = 5, scale = FALSE), d, control = tight)
say("cox_ridge.coef", coef(ridge))
say("cox_ridge.se", sqrt(diag(ridge$var)))
base <- basehaz(cox, centered = FALSE)
say("basehaz", stepfun(base$time, c(0, base$hazard))(at))
new <- data.frame(x1 = c(-1, 0, 1.5), x2 = c(0, 1, 1), x3 = c(0.2, -0.3, 1))
say("cox.risk", t(1 - summary(survfit(cox, newdata = new), times = at)$surv))
z <- cox.zph(cox, transform = "km", terms = FALSE)$table
say("zph.chi2", z[, "chisq"])
csc <- CSC(Hist(time, event) ~ x1 + x2 + x3, d, method = "efron")
say("csc.risk", t(predictRisk(csc, newdata = new, times = at, cause = 1, product.limit = FALSE)))
