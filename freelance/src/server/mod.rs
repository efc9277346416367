//! Servers of the three models, as callbacks on a reactor.
