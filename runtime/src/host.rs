//! What scripts can reach: the metered standard library and the modules of `callboard`.
//!
//! Invariant: nothing here takes an address, a file or a clock finer than a millisecond from a script;
//! services are reached by the names that the operator configured and the manifest lists.
//! Not here: what a native function costs (`metered`), who may call an endpoint (`quotas`).

mod absent;
pub mod ambient;
mod append;
pub mod call;
pub mod checkpoints;
pub mod encode;
pub mod faults;
pub mod json;
pub mod json_build;
pub mod json_macro;
pub mod json_read;
pub mod json_write;
mod prelude;
pub mod reference;
pub mod request;
pub mod response;
pub mod service;

use std::sync::{Arc, OnceLock};

use rune::runtime::RuntimeContext;
use rune::{Context, ContextError};

/// The engine of this process: what scripts are compiled against and run with.
pub struct Engine {
    /// What the compiler sees.
    pub context: Context,
    /// What the virtual machine sees.
    pub runtime: Arc<RuntimeContext>,
}

/// Raised by one whenever a script that was compiled before could behave differently now: it is part of
/// the fingerprint of every stored unit.
pub const HOST_API_VERSION: u32 = 1;

impl Engine {
    /// The one engine of this process, made at first use (a few milliseconds).
    ///
    /// # Panics
    /// When two modules claim one name: a mistake in this crate that every test would find.
    pub fn get() -> &'static Engine {
        static ENGINE: OnceLock<Engine> = OnceLock::new();
        ENGINE.get_or_init(|| Engine::build().expect("the host modules do not clash"))
    }

    fn build() -> Result<Self, ContextError> {
        let mut context = Context::new();
        crate::metered::install(&mut context)?;
        let [json_type, json_functions] = json::modules()?;
        for module in [
            prelude::module()?,
            absent::module()?,
            checkpoints::module()?,
            json_type,
            json_functions,
            json_macro::functions()?,
            json_macro::macros()?,
            request::module()?,
            response::module()?,
            service::module()?,
            ambient::log()?,
            ambient::time()?,
            ambient::config()?,
            ambient::uuid()?,
            encode::base64()?,
            encode::url()?,
            encode::hash()?,
        ] {
            context.install(module)?;
        }
        if let Some(module) = faults::module()? {
            context.install(module)?;
        }
        let runtime = Arc::new(context.runtime()?);
        Ok(Self { context, runtime })
    }
}
