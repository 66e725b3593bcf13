//! What a node promises, each with its actors, an embedded store and scripts that really run.

mod deploys;
mod failures;
mod faulty;
mod fleet_model;
mod hand_over;
mod kit;
mod switches;
