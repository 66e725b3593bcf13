//! The actors that own what a node serves.
