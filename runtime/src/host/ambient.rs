//! Small things of a call: its log, the time, its configuration, random ids.

use std::time::{SystemTime, UNIX_EPOCH};

use rune::alloc::String as ScriptString;
use rune::runtime::{Ref, Value, VmResult};
use rune::{ContextError, Module, vm_try};

use super::call::{self, Level, Setting};
use crate::fuel;

fn write(level: Level, text: &str) -> VmResult<()> {
    vm_try!(fuel::charge(4 + text.len().min(call::LOG_LINE) as u64 / 16));
    vm_try!(call::with_current(|call| call.log(level, text)));
    VmResult::Ok(())
}

/// `callboard::log`: lines for the team that owns the endpoint.
pub(super) fn log() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("callboard", ["log"])?;
    module.function("debug", |text: Ref<str>| write(Level::Debug, &text)).build()?;
    module.function("info", |text: Ref<str>| write(Level::Info, &text)).build()?;
    module.function("warn", |text: Ref<str>| write(Level::Warn, &text)).build()?;
    module.function("error", |text: Ref<str>| write(Level::Error, &text)).build()?;
    Ok(module)
}

/// `callboard::time`: the wall clock, in whole milliseconds.
pub(super) fn time() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("callboard", ["time"])?;
    module
        .function("unix_ms", || -> VmResult<i64> {
            vm_try!(fuel::charge(1));
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            VmResult::Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
        })
        .build()?;
    module
        .function("rfc3339", |unix_ms: i64| -> VmResult<ScriptString> {
            vm_try!(fuel::charge(8));
            match jiff::Timestamp::from_millisecond(unix_ms) {
                Ok(time) => VmResult::Ok(vm_try!(ScriptString::try_from(time.to_string().as_str()))),
                Err(_) => VmResult::panic(format!("{unix_ms} is no time in milliseconds since 1970")),
            }
        })
        .build()?;
    Ok(module)
}

/// `callboard::config`: the endpoint's own settings, from its manifest.
pub(super) fn config() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("callboard", ["config"])?;
    module
        .function("get", |name: Ref<str>| -> VmResult<Value> {
            let setting = vm_try!(call::with_current(|call| call.endpoint.settings.get(&*name).cloned()));
            match setting {
                Some(Setting::Text(text)) => super::request::maybe(Some(&text)),
                Some(Setting::Integer(number)) => VmResult::Ok(Value::from(number)),
                Some(Setting::Bool(yes)) => VmResult::Ok(Value::from(yes)),
                None => VmResult::Ok(Value::from(())),
            }
        })
        .build()?;
    Ok(module)
}

/// `callboard::uuid`: random ids from the operating system's generator.
pub(super) fn uuid() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("callboard", ["uuid"])?;
    module
        .function("v4", || -> VmResult<ScriptString> {
            vm_try!(fuel::charge(8));
            let mut text = uuid::Uuid::encode_buffer();
            let text = uuid::Uuid::new_v4().hyphenated().encode_lower(&mut text);
            VmResult::Ok(vm_try!(ScriptString::try_from(&*text)))
        })
        .build()?;
    Ok(module)
}
