//! The production machine of the pair in a simulated world: two nodes, clients who ask both, operators, and whatever
//! can go wrong. `SIM_SEED=17` runs one seed alone, `SIM_SEEDS=100000` more than usual.

mod node;
mod pair;
