//! Quotas: who may run, how much, and why not.
