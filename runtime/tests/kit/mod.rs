//! What the tests share: a script is compiled, sealed, opened and run as a server does it.
#![allow(dead_code, reason = "no test needs all of it")]

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use quotas::limits::{Allowance, Policy};
use quotas::memory::Hold;
use runtime::bundle::{Bundle, BundlePath};
use runtime::codec::{SigningKeys, open, seal};
use runtime::compile::{STACK, compile};
use runtime::fuel::now_nanos;
use runtime::host::call::{CallContext, EndpointContext};
use runtime::host::request::{Head, Request};
use runtime::run::{Outcome, call};
use runtime::unit::{Entry, Unit};

/// A request with this query.
pub struct Get(pub &'static str);

impl Head for Get {
    fn method(&self) -> &str {
        "GET"
    }
    fn path(&self) -> &str {
        "/x"
    }
    fn query(&self) -> &str {
        self.0
    }
    fn header(&self, name: &str) -> Option<&str> {
        (name == "x-device").then_some("tv")
    }
    fn headers(&self) -> Vec<(String, String)> {
        vec![("x-device".to_owned(), "tv".to_owned())]
    }
}

/// A bundle of one script with one endpoint.
pub fn bundle(main: &str) -> Bundle {
    let manifest = "team = \"t\"\nscript = \"s\"\n[[endpoint]]\npath = \"/x\"\nhandler = \"main::main\"\n";
    let files = [("callboard.toml", manifest), ("main.rn", main)];
    let files: BTreeMap<BundlePath, Arc<[u8]>> =
        files.iter().map(|(path, text)| (path.parse().unwrap(), text.as_bytes().into())).collect();
    Bundle::from_files(files).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)))
}

/// Runs where a compilation has the stack that it needs.
pub fn on_big_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(STACK).spawn(work).unwrap().join().unwrap()
}

/// A compiled script.
pub fn unit(main: &str) -> Arc<Unit> {
    let bundle = bundle(main);
    let compiled = compile(&bundle).unwrap_or_else(|wrong| panic!("{}", wrong.render(false))).compiled;
    let keys = SigningKeys::new([7; 32], Vec::new());
    Arc::new(open(&seal(&compiled, bundle.hash(), &keys), bundle.hash(), &keys).unwrap())
}

/// The context of a call of it.
pub fn context(unit: &Unit, allowance: &Allowance) -> CallContext {
    let (team, memory) = ("tv".parse().unwrap(), Arc::new(Hold::unbounded()));
    let endpoint = EndpointContext { team, services: Arc::default(), settings: Arc::default() };
    CallContext::new(&Arc::new(endpoint), unit, allowance, ("r".into(), 0), memory)
}

/// Runs the handler of a script with a query and an allowance.
pub fn run_with(main: &'static str, query: &'static str, allowance: Allowance) -> Outcome {
    on_big_stack(move || {
        let unit = unit(main);
        let request =
            Request::new(Rc::new(Get(query)), Vec::new(), None, Bytes::from_static(b"{\"a\":[1,2]}"));
        let context = context(&unit, &allowance);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(call(
            unit,
            Entry::new("main", "main"),
            request,
            allowance,
            now_nanos(),
            context,
            None,
        ))
    })
}

/// What a call has where nobody said anything.
pub fn allowance() -> Allowance {
    Policy::default().default.allowance
}
