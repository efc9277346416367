//! Binary Star.
