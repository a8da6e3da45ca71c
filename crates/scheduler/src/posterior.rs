use crate::level::Level;

/// `q(x_(t-1) | x_t, x_0)` between two variance-preserving levels, equations 6 and 7 of
/// <https://arxiv.org/abs/2006.11239>: its mean is `of_original` * `x_0` + `of_noisy` * `x_t`, its variance beta-tilde.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Posterior {
    /// The variance of the noise that leads from the lower level to the higher one.
    pub(crate) beta: f64,
    pub(crate) beta_tilde: f64,
    pub(crate) of_original: f64,
    pub(crate) of_noisy: f64,
}

impl Posterior {
    /// From the level of `x_t` down to that of `x_(t-1)`.
    pub(crate) fn between(from: Level, to: Level) -> Self {
        let (variance, left) = (from.sigma.powi(2), to.sigma.powi(2));
        let beta = 1.0 - (from.alpha / to.alpha).powi(2);
        Self {
            beta,
            beta_tilde: left / variance * beta,
            of_original: to.alpha * beta / variance,
            of_noisy: from.alpha / to.alpha * left / variance,
        }
    }
}
