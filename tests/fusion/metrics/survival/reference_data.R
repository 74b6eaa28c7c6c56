# Values of R for data that is not kept here, one line each: name, tab, numbers.
#   Rscript reference_data.R OUTPUT.csv [E1684.csv]
# The 205 Danish primaries of MASS are written to OUTPUT.csv for the comparison.
suppressPackageStartupMessages({library(survival); library(riskRegression)})
args <- commandArgs(trailingOnly = TRUE)
say <- function(name, values) {
  cat(name, "\t", paste(sprintf("%.15g", as.numeric(values)), collapse = " "), "\n", sep = "")
}
m <- MASS::Melanoma
m$event <- c(1, 0, 2)[m$status]  # 1 death of melanoma, 2 alive, 3 other death
m$own <- as.integer(m$event == 1)
m$any <- as.integer(m$event > 0)
m$log_thickness <- log(m$thickness)
m$id <- seq_len(nrow(m))
write.csv(m, args[1], row.names = FALSE)
at <- c(2, 5, 8) * 365.25
fit <- survfit(Surv(time, factor(event)) ~ 1, m, id = id, conf.type = "log-log")
s <- summary(fit, times = at)
for (cause in c("1", "2")) {
  k <- match(cause, fit$states)
  say(paste0("incidence.", cause), s$pstate[, k])
  say(paste0("incidence_se.", cause), s$std.err[, k])
}
q <- quantile(survfit(Surv(time, any == 0) ~ 1, m, conf.type = "log-log"), 0.5)
say("follow_up", c(q$quantile, q$lower, q$upper))
cox <- coxph(Surv(time, own) ~ log_thickness + ulcer + sex + age, m, ties = "efron",
             control = coxph.control(eps = 1e-13, toler.chol = 1e-14, iter.max = 50))
say("cox", coef(cox))
say("cox_se", sqrt(diag(vcov(cox))))
lp <- predict(cox, reference = "zero")
say("harrell", concordance(Surv(time, own) ~ lp, m, reverse = TRUE)$concordance)
say("uno", concordance(Surv(time, own) ~ lp, m, reverse = TRUE, timewt = "n/G2",
                       ymax = at[2])$concordance)
say("log_rank", survdiff(Surv(time, own) ~ ulcer, m)$chisq)
for (g in 0:1) {
  table <- summary(survfit(Surv(time, any) ~ 1, m[m$ulcer == g, ]), rmean = at[2])$table
  say(paste0("rmst.", g), table[c("rmean", "se(rmean)")])
}
csc <- CSC(Hist(time, event) ~ log_thickness + ulcer + sex + age, m, method = "efron")
risk <- predictRisk(csc, newdata = m, times = at, cause = 1, product.limit = FALSE)
scores <- suppressMessages(Score(list(csc = risk), Hist(time, event) ~ 1, m, times = at, cause = 1,
  metrics = c("auc", "brier"), cens.model = "km", conf.int = FALSE, null.model = FALSE))
say("auc", scores$AUC$score$AUC)
say("brier", scores$Brier$score$Brier)
say("zph", cox.zph(cox, terms = FALSE)$table[, "chisq"])
if (length(args) > 1) {
  e <- read.csv(args[2])
  e <- e[complete.cases(e[, c("failtime", "failcens", "treatment", "sex", "age", "node_bin")]), ]
  say("e.km", summary(survfit(Surv(failtime, failcens) ~ 1, e), times = c(1, 2, 5))$surv)
  say("e.log_rank", survdiff(Surv(failtime, failcens) ~ treatment, e)$chisq)
  cox <- coxph(Surv(failtime, failcens) ~ treatment + sex + age + node_bin, e,
               control = coxph.control(eps = 1e-13, toler.chol = 1e-14, iter.max = 50))
  say("e.cox", coef(cox))
  lp <- predict(cox, reference = "zero")
  say("e.harrell", concordance(Surv(failtime, failcens) ~ lp, e, reverse = TRUE)$concordance)
  say("e.uno", concordance(Surv(failtime, failcens) ~ lp, e, reverse = TRUE, timewt = "n/G2",
                           ymax = 5)$concordance)
  risk <- 1 - t(summary(survfit(cox, newdata = e), times = c(1, 2, 5))$surv)
  scores <- suppressMessages(Score(list(m = risk), Hist(failtime, failcens) ~ 1, e,
    times = c(1, 2, 5), metrics = c("auc", "brier"), cens.model = "km", conf.int = FALSE,
    null.model = FALSE))
  say("e.auc", scores$AUC$score$AUC)
  say("e.brier", scores$Brier$score$Brier)
}
