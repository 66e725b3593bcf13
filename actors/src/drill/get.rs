//! A request that comes over no connection: a path, no query and no headers.

use runtime::host::request::Head;

/// A GET of this path.
pub(crate) struct Get(pub(crate) String);

impl Head for Get {
    fn method(&self) -> &str {
        "GET"
    }
    fn path(&self) -> &str {
        &self.0
    }
    fn query(&self) -> &str {
        ""
    }
    fn header(&self, _: &str) -> Option<&str> {
        None
    }
    fn headers(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}
