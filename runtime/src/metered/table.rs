//! Tables: the library as data. A table is the registration itself, so nothing can be in the library
//! without a cost, a reason and an example.
//!
//! Invariant: a function that has no row does not exist for scripts.

use std::sync::Arc;

use rune::compile::Named;
use rune::module::InstallWith;
use rune::runtime::{Memory, Protocol, TypeInfo, TypeOf, VmResult};
use rune::{Context, ContextError, Hash, Item, ItemBuf, Module, Params, item, vm_try};

use super::cost::Cost;
use super::depth::Level;
use super::native::{self, Body, Handler};
use crate::cycles;
use crate::fuel;

/// How a function is called.
#[derive(Clone, Copy, Debug)]
pub enum Name {
    /// `value.name(…)` or `Type::name(…)`.
    Of(&'static str),
    /// As above, told apart by a type: `value.name::<T>(…)`.
    With(&'static str, Hash),
    /// By an operator or by native code.
    Protocol(&'static Protocol),
}

impl Name {
    /// The name that a reader knows it by.
    pub fn text(&self) -> &'static str {
        match self {
            Name::Of(name) | Name::With(name, _) => name,
            Name::Protocol(protocol) => protocol.name,
        }
    }

    /// The hash of the function with this name of a type.
    pub(super) fn hash(&self, of: Hash) -> Hash {
        match self {
            Name::Of(name) => Hash::associated_function(of, *name),
            Name::With(name, parameter) => {
                Hash::associated_function(of, *name).with_function_parameters(Hash::parameters([*parameter]))
            }
            Name::Protocol(protocol) => Hash::associated_function(of, protocol.hash),
        }
    }
}

/// What a function ties to the value that it is called on, so that it may come to hold itself (`cycles`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ties {
    /// Nothing.
    Nothing,
    /// Its other arguments.
    Arguments,
    /// What cannot be told: code of the script runs, and what it finds is kept.
    Anything,
}

/// One function of the library.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// How it is called.
    pub name: Name,
    /// What it costs.
    pub cost: Cost,
    /// Why it costs that.
    pub reason: &'static str,
    /// A script that calls it; tests run each with and without the meter and compare.
    pub example: &'static str,
    /// What `cycles` has to know of it.
    pub(super) ties: Ties,
    /// Ours, when Rune's own could not be metered from outside.
    pub(super) body: Option<Body>,
}

/// A function as Rune has it.
pub(super) const fn of(
    name: &'static str,
    cost: Cost,
    reason: &'static str,
    example: &'static str,
) -> Function {
    Function { name: Name::Of(name), cost, reason, example, ties: Ties::Nothing, body: None }
}

/// A function as Rune has it that takes constant time.
pub(super) const fn free(name: &'static str, example: &'static str) -> Function {
    of(name, Cost::Free, "constant time", example)
}

/// A function as Rune has it, told apart by a type.
pub(super) const fn with(
    name: &'static str,
    parameter: Hash,
    cost: Cost,
    reason: &'static str,
    example: &'static str,
) -> Function {
    Function { name: Name::With(name, parameter), cost, reason, example, ties: Ties::Nothing, body: None }
}

/// What Rune calls for an operator, or from native code.
pub(super) const fn protocol(
    protocol: &'static Protocol,
    cost: Cost,
    reason: &'static str,
    example: &'static str,
) -> Function {
    Function { name: Name::Protocol(protocol), cost, reason, example, ties: Ties::Nothing, body: None }
}

/// A protocol that takes constant time.
pub(super) const fn free_protocol(name: &'static Protocol, example: &'static str) -> Function {
    protocol(name, Cost::Free, "constant time", example)
}

/// A protocol that no script reaches, since Rune does the same in place. It is there for native code.
pub(super) const fn unreached(name: &'static Protocol, cost: Cost) -> Function {
    protocol(name, cost, UNREACHED, "")
}

/// The reason of a row without an example.
pub(super) const UNREACHED: &str = "scripts do not reach it: Rune does the same in place";

/// An operation that walks its arguments node by node until it reaches another metered function.
pub(super) const fn walk(name: &'static Protocol, example: &'static str) -> Function {
    protocol(name, Cost::Weigh, "walks the values node by node", example)
}

/// One step of an iterator: native loops take many, so each is charged.
pub(super) const fn step(name: &'static Protocol, example: &'static str) -> Function {
    protocol(name, Cost::One, "native loops take many steps", example)
}

/// What an iterator says about itself: adaptors ask those that they are made of, each in turn.
pub(super) const fn hint(name: &'static Protocol, example: &'static str) -> Function {
    protocol(name, Cost::One, "an adaptor asks the iterators that it is made of", example)
}

impl Function {
    /// The same function, written by us.
    pub(super) const fn ours(mut self, body: Body) -> Self {
        self.body = Some(body);
        self
    }

    /// The same function, which puts its arguments into the value that it is called on.
    pub(super) const fn stores(mut self) -> Self {
        self.ties = Ties::Arguments;
        self
    }

    /// The same function, which lets the value that it is called on go on: that may take hold of anything.
    pub(super) const fn goes_on(mut self) -> Self {
        self.ties = Ties::Anything;
        self
    }
}

/// A trait that a type implements: it brings functions of its own (`traits`, `compare`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trait {
    /// `::std::iter::Iterator`
    Iterator,
    /// `::std::iter::DoubleEndedIterator`
    DoubleEnded,
    /// `::std::iter::ExactSizeIterator`
    ExactSize,
    /// `::std::clone::Clone`
    Clone,
    /// `::std::cmp::PartialEq`
    PartialEq,
    /// `::std::cmp::Eq`
    Eq,
    /// `::std::cmp::PartialOrd`
    PartialOrd,
    /// `::std::cmp::Ord`
    Ord,
}

impl Trait {
    fn item(self) -> &'static Item {
        match self {
            Trait::Iterator => item!(::std::iter::Iterator),
            Trait::DoubleEnded => item!(::std::iter::DoubleEndedIterator),
            Trait::ExactSize => item!(::std::iter::ExactSizeIterator),
            Trait::Clone => item!(::std::clone::Clone),
            Trait::PartialEq => item!(::std::cmp::PartialEq),
            Trait::Eq => item!(::std::cmp::Eq),
            Trait::PartialOrd => item!(::std::cmp::PartialOrd),
            Trait::Ord => item!(::std::cmp::Ord),
        }
    }
}

/// Both comparisons for equality.
pub(super) const EQUALITY: &[Trait] = &[Trait::PartialEq, Trait::Eq];
/// Everything that compares.
pub(super) const ORDER: &[Trait] = &[Trait::PartialEq, Trait::Eq, Trait::PartialOrd, Trait::Ord];
/// An iterator from the front.
pub(super) const FORWARD: &[Trait] = &[Trait::Iterator];
/// An iterator from both ends.
pub(super) const BOTH_ENDS: &[Trait] = &[Trait::Iterator, Trait::DoubleEnded];
/// An iterator from the front whose length is known.
pub(super) const COUNTED: &[Trait] = &[Trait::Iterator, Trait::ExactSize];
/// An iterator from both ends whose length is known.
pub(super) const COUNTED_BOTH_ENDS: &[Trait] = &[Trait::Iterator, Trait::DoubleEnded, Trait::ExactSize];

type Declare = fn(&mut Module) -> Result<(), ContextError>;

/// A type and its functions.
pub struct Type {
    /// Its name within its module.
    pub name: &'static str,
    /// Its functions.
    pub functions: &'static [Function],
    /// The traits that it implements: each brings the functions of its own table.
    pub traits: &'static [&'static [Trait]],
    pub(super) hash: Hash,
    info: fn() -> TypeInfo,
    declare: Option<Declare>,
    implement: fn(&mut Module, &Item) -> Result<(), ContextError>,
}

impl Type {
    /// The type `T`, declared in the table's module.
    pub(super) const fn new<T>(
        name: &'static str,
        traits: &'static [&'static [Trait]],
        functions: &'static [Function],
    ) -> Self
    where
        T: TypeOf + Named + InstallWith,
    {
        Self {
            name,
            functions,
            traits,
            hash: T::HASH,
            info: T::type_info,
            declare: Some(|module| module.ty::<T>().map(drop)),
            implement: |module, item| module.implement_trait::<T>(item),
        }
    }

    /// Declared in this way instead.
    pub(super) const fn declared(mut self, declare: Declare) -> Self {
        self.declare = Some(declare);
        self
    }

    /// Declared by another module already.
    pub(super) const fn known(mut self) -> Self {
        self.declare = None;
        self
    }
}

/// A module of the library.
pub struct Table {
    /// Its path.
    pub path: &'static [&'static str],
    /// Its types.
    pub types: &'static [Type],
    /// Its functions that belong to no type.
    pub functions: &'static [Function],
    /// What it has besides: constants, other names, traits.
    pub(super) also: Declare,
}

/// Nothing besides.
pub(super) fn nothing(_: &mut Module) -> Result<(), ContextError> {
    Ok(())
}

impl Table {
    /// Installs the module.
    pub(super) fn install(&self, context: &mut Context) -> Result<(), ContextError> {
        let mut module = Module::with_crate_item("std", self.path.iter().copied())?;
        for ty in self.types {
            if let Some(declare) = ty.declare {
                declare(&mut module)?;
            }
            for function in ty.functions {
                function.register(&mut module, ty)?;
            }
            for of in ty.traits.iter().copied().flatten() {
                (ty.implement)(&mut module, of.item())?;
            }
        }
        for function in self.functions {
            let handler = function.metered(self.hash(function)?);
            let run = move |m: &mut dyn Memory, at, count, out| handler(m, at, count, out);
            module.raw_function(function.name.text(), run).build()?;
        }
        (self.also)(&mut module)?;
        context.install(module)
    }

    /// The hash of a function that belongs to no type.
    pub(super) fn hash(&self, function: &Function) -> Result<Hash, ContextError> {
        let path = self.path.iter().copied().chain([function.name.text()]);
        Ok(Hash::type_hash(&ItemBuf::with_crate_item("std", path)?))
    }
}

impl Function {
    fn register(&self, module: &mut Module, ty: &Type) -> Result<(), ContextError> {
        let handler = self.metered(self.name.hash(ty.hash));
        let run = move |m: &mut dyn Memory, at, count, out| handler(m, at, count, out);
        let info = (ty.info)();
        match self.name {
            Name::Of(name) => {
                module.raw_function(name, run).build_associated_with(ty.hash, info)?;
            }
            Name::With(name, parameter) => {
                let name = Params::new(name, [parameter]);
                module.raw_function(name, run).build_associated_with(ty.hash, info)?;
            }
            Name::Protocol(protocol) => {
                module.raw_function(protocol, run).build_associated_with(ty.hash, info)?;
            }
        }
        Ok(())
    }

    /// The function behind its meter.
    fn metered(&self, hash: Hash) -> Handler {
        let handler = match self.body {
            Some(body) => native::handler(body),
            None => native::rune(hash, &self.name),
        };
        let handler = metered(self.cost, handler);
        let handler = match self.ties {
            Ties::Nothing => handler,
            ties => noted(ties, handler),
        };
        #[cfg(test)]
        let handler = super::coverage::noted(hash, handler);
        handler
    }
}

/// Notes what a function puts something into.
fn noted(ties: Ties, handler: Handler) -> Handler {
    Arc::new(move |memory, address, count, output| {
        if let [target, put @ ..] = vm_try!(memory.slice_at(address, count)) {
            vm_try!(cycles::note(target, (ties == Ties::Arguments).then_some(put)));
        }
        handler(memory, address, count, output)
    })
}

/// Puts a meter before a function.
pub(super) fn metered(cost: Cost, handler: Handler) -> Handler {
    match cost {
        Cost::Free => handler,
        // The most frequent ones: the steps of iterators.
        Cost::One => Arc::new(move |memory, address, count, output| {
            let _level = vm_try!(Level::enter());
            vm_try!(fuel::charge(1));
            handler(memory, address, count, output)
        }),
        _ => Arc::new(move |memory, address, count, output| {
            let _level = vm_try!(Level::enter());
            vm_try!(cost.charge(vm_try!(memory.slice_at(address, count))));
            vm_try!(handler(memory, address, count, output));
            // Rune's printing goes on after an error inside; a call that was stopped must not.
            vm_try!(fuel::charge(0));
            VmResult::Ok(())
        }),
    }
}
