//! Units: from a bundle's hash to bytecode that is ready to run.
//!
//! Invariant: whatever runs was opened by the codec, a unit that was compiled a moment ago too; a stored unit
//! that is not taken is compiled anew from its source, whose hash is checked first. For one bundle one thread
//! works at a time.
//! Not here: which revision is active (`controller`), running (`endpoint`).

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use moka::sync::Cache;
use quotas::units::Bytes as Size;
use runtime::archive::ArchiveLimits;
use runtime::bundle::{Bundle, BundleHash};
use runtime::codec::{self, Compiled, SigningKeys};
use runtime::compile::Compilation;
use runtime::compile_child::{CompileError, Compiler};
use runtime::error::CodecError;
use runtime::unit::Unit;
use tokio::sync::Semaphore;

use crate::error::{ControlError, StoreError};
use crate::events::Event;
use crate::storage::{ContentHash, ContentKind, Fingerprint, Store};
use crate::turns::Turns;

/// How long a failure to load a unit is remembered, so that callers do not repeat the work.
const FAILED_FOR: Duration = Duration::from_secs(2);
/// How long one node of a fleet has for a unit before another may make it.
const LEASE: Duration = Duration::from_secs(30);
/// How often is looked whether another node has made a unit.
const LEASE_LOOK: Duration = Duration::from_millis(100);
/// With so much of its size in use the cache is full: the next unit may not fit.
const FULL_PERCENT: u64 = 95;
/// How much larger a unit is in memory than in its envelope, about.
const GROWTH: usize = 4;

/// Compiles bundles, in whatever way.
#[async_trait]
pub trait Compile: Send + Sync {
    /// Compiles one bundle.
    async fn compile(&self, bundle: &Bundle) -> Result<Compilation, CompileError>;

    /// The same, and how long it ran. Where there is a wait for a turn, that is not part of it.
    async fn compile_timed(&self, bundle: &Bundle) -> (Result<Compilation, CompileError>, Duration) {
        let began = Instant::now();
        (self.compile(bundle).await, began.elapsed())
    }
}

#[async_trait]
impl Compile for Compiler {
    async fn compile(&self, bundle: &Bundle) -> Result<Compilation, CompileError> {
        Self::compile(self, bundle.manifest().team.as_str(), bundle).await
    }

    async fn compile_timed(&self, bundle: &Bundle) -> (Result<Compilation, CompileError>, Duration) {
        Self::compile_timed(self, bundle.manifest().team.as_str(), bundle).await
    }
}

/// Where a revision's unit is: with whoever runs it, and nowhere once nobody does and the cache forgot it.
#[derive(Debug)]
pub struct UnitCell {
    bundle: BundleHash,
    held: Mutex<Weak<Unit>>,
    weight: AtomicU32,
}

impl UnitCell {
    /// A cell that nobody filled yet.
    pub fn new(bundle: BundleHash) -> Self {
        Self { bundle, held: Mutex::default(), weight: AtomicU32::new(0) }
    }

    /// A cell that finds this unit for as long as somebody has it.
    pub(crate) fn filled(opened: &Opened) -> Self {
        let cell = Self::new(opened.unit.bundle());
        cell.set(&opened.unit, opened.weight());
        cell
    }

    /// The memory of the unit, about, in bytes; nothing while nobody has it.
    pub(crate) fn weight(&self) -> u64 {
        if self.get().is_some() { self.weight.load(Ordering::Relaxed).into() } else { 0 }
    }

    fn get(&self) -> Option<Arc<Unit>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    fn set(&self, unit: &Arc<Unit>, weight: u32) {
        self.weight.store(weight, Ordering::Relaxed);
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(unit);
    }
}

/// Why there is no unit, or no bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFailure {
    /// The stable code.
    pub code: &'static str,
    /// More, for the operator and the script's owner.
    pub detail: String,
}

impl fmt::Display for UnitFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)
    }
}

impl From<StoreError> for UnitFailure {
    fn from(error: StoreError) -> Self {
        Self { code: error.code(), detail: error.to_string() }
    }
}

impl From<CodecError> for UnitFailure {
    fn from(error: CodecError) -> Self {
        Self { code: error.code(), detail: error.to_string() }
    }
}

impl From<UnitFailure> for ControlError {
    fn from(failure: UnitFailure) -> Self {
        Self::Unit { code: failure.code, detail: failure.detail }
    }
}

/// A unit and the envelope that it was opened from.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) unit: Arc<Unit>,
    pub(crate) envelope: bytes::Bytes,
}

impl Opened {
    /// The memory of the unit, about, in bytes.
    pub(crate) fn weight(&self) -> u32 {
        u32::try_from(self.envelope.len().saturating_mul(GROWTH)).unwrap_or(u32::MAX)
    }
}

/// A bundle from its archive, if it is the one that the hash names.
async fn unpacked(hash: BundleHash, archive: bytes::Bytes) -> Result<Bundle, UnitFailure> {
    let corrupt = |detail: String| UnitFailure { code: "store.corrupt", detail };
    let read = crate::blocking::run(move || Bundle::from_archive(&archive, &ArchiveLimits::default()));
    match read.await {
        Ok(Ok(bundle)) if bundle.hash() == hash => Ok(bundle),
        Ok(Ok(other)) => {
            Err(corrupt(format!("the stored files of bundle {hash} are those of {}", other.hash())))
        }
        Ok(Err(found)) => {
            let first = found.iter().next().map_or(String::new(), |first| first.message.clone());
            Err(corrupt(format!("the stored files of bundle {hash} cannot be read: {first}")))
        }
        Err(_) => Err(corrupt(format!("reading the stored files of bundle {hash} failed"))),
    }
}

/// Finds, loads and compiles units.
pub struct Units {
    store: Arc<dyn Store>,
    compiler: Arc<dyn Compile>,
    keys: SigningKeys,
    kind: ContentKind,
    node: Arc<str>,
    cache: Cache<BundleHash, (Arc<Unit>, u32)>,
    failed: Cache<BundleHash, UnitFailure>,
    turns: Turns<BundleHash>,
    /// Who may decode.
    decoders: Semaphore,
}

impl fmt::Debug for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Units").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Units {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        compiler: Arc<dyn Compile>,
        keys: SigningKeys,
        cache: Size,
        node: Arc<str>,
    ) -> Result<Self, StoreError> {
        let fingerprint = Fingerprint::parse(&codec::Fingerprint::current().text())?;
        let cache = Cache::builder().max_capacity(cache.get()).weigher(|_, (_, weight)| *weight).build();
        let failed = Cache::builder().max_capacity(1_000).time_to_live(FAILED_FOR).build();
        let kind = ContentKind::Unit { fingerprint };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let decoders = Semaphore::new((cores / 2).max(1));
        Ok(Self { store, compiler, keys, kind, node, cache, failed, turns: Turns::default(), decoders })
    }

    /// The unit, if it is in memory.
    pub fn peek(&self, cell: &UnitCell) -> Option<Arc<Unit>> {
        cell.get().or_else(|| {
            let (unit, weight) = self.cache.get(&cell.bundle)?;
            cell.set(&unit, weight);
            Some(unit)
        })
    }

    /// Whether another unit is kept without another being forgotten for it.
    pub(crate) fn has_room(&self) -> bool {
        self.cache.run_pending_tasks();
        let most = self.cache.policy().max_capacity().unwrap_or(u64::MAX);
        self.cache.weighted_size() < most / 100 * FULL_PERCENT
    }

    /// The unit: from memory, from the store, or compiled from the stored source.
    ///
    /// # Errors
    /// There is none to be had; asked again within two seconds, it says the same.
    pub async fn load(&self, cell: &UnitCell) -> Result<Arc<Unit>, UnitFailure> {
        if let Some(unit) = self.peek(cell) {
            return Ok(unit);
        }
        let _turn = self.turns.take(&cell.bundle).await;
        if let Some(unit) = self.peek(cell) {
            return Ok(unit);
        }
        if let Some(failure) = self.failed.get(&cell.bundle) {
            return Err(failure);
        }
        match self.fetch(cell.bundle).await {
            Ok(opened) => {
                cell.set(&opened.unit, opened.weight());
                Ok(opened.unit)
            }
            Err(failure) => {
                self.failed.insert(cell.bundle, failure.clone());
                Err(failure)
            }
        }
    }

    async fn fetch(&self, bundle: BundleHash) -> Result<Opened, UnitFailure> {
        let key = ContentHash(*bundle.as_bytes());
        let until = Instant::now() + LEASE;
        let mut found = self.store.content(&self.kind, key).await;
        loop {
            match found {
                Ok(Some(envelope)) => match self.open(envelope, bundle).await {
                    Ok(opened) => return Ok(opened),
                    Err(failure) => {
                        Event::UnitRejected { bundle, code: failure.code }.tell();
                        if let Some(opened) = self.fetch_anew(bundle).await {
                            return Ok(opened);
                        }
                        break;
                    }
                },
                Ok(None) => {}
                Err(error @ StoreError::Corrupt { .. }) => {
                    Event::UnitRejected { bundle, code: error.code() }.tell();
                    break;
                }
                Err(error) => return Err(error.into()),
            }
            // A store that cannot say whose turn it is has no other node make it either.
            if self.lease(key).await || Instant::now() >= until {
                break;
            }
            tokio::time::sleep(LEASE_LOOK).await;
            found = self.store.content(&self.kind, key).await;
        }
        let made = self.make(bundle).await;
        if made.is_err() {
            // It expires all the same.
            let _ = self.store.release_lease(&self.kind, key, &self.node).await;
        }
        made
    }

    async fn lease(&self, key: ContentHash) -> bool {
        self.store.lease(&self.kind, key, &self.node, LEASE).await.unwrap_or(true)
    }

    /// The unit from where it was first kept, when the copy at hand was no good.
    async fn fetch_anew(&self, bundle: BundleHash) -> Option<Opened> {
        let key = ContentHash(*bundle.as_bytes());
        let envelope = self.store.refetch(&self.kind, key).await.ok()??;
        self.open(envelope, bundle).await.ok()
    }

    /// Makes sure that there is a unit that [`Units::load`] will take, without decoding one that is there. Where
    /// another node is about to make it, nothing is done, and the answer is false.
    ///
    /// # Errors
    /// There is none to be had.
    pub(crate) async fn ready(&self, cell: &UnitCell) -> Result<bool, UnitFailure> {
        let bundle = cell.bundle;
        if self.peek(cell).is_some() {
            return Ok(true);
        }
        let _turn = self.turns.take(&bundle).await;
        let key = ContentHash(*bundle.as_bytes());
        match self.store.content(&self.kind, key).await {
            Ok(Some(envelope)) if codec::check(&envelope, bundle, &self.keys).is_ok() => return Ok(true),
            Ok(Some(_)) | Err(StoreError::Corrupt { .. }) => {}
            Ok(None) if !self.lease(key).await => return Ok(false),
            Ok(None) => {}
            Err(error) => return Err(error.into()),
        }
        self.fetch(bundle).await.map(|opened| {
            cell.set(&opened.unit, opened.weight());
            true
        })
    }

    /// Compiles a unit from its stored source, and keeps it.
    async fn make(&self, bundle: BundleHash) -> Result<Opened, UnitFailure> {
        let key = ContentHash(*bundle.as_bytes());
        let source = self.bundle(bundle).await?;
        let compilation = self
            .compiler
            .compile(&source)
            .await
            .map_err(|error| UnitFailure { code: error.code(), detail: error.to_string() })?;
        let opened = self.admit(compilation.compiled, bundle).await?;
        Event::UnitRecompiled { bundle }.tell();
        // It only saves the next reader some work.
        if let Err(error) = self.store.put_content(&self.kind, key, opened.envelope.clone()).await {
            tracing::debug!(%bundle, %error, "unit not stored");
        }
        Ok(opened)
    }

    /// A bundle from the store, if its files are still those that its hash names.
    pub(crate) async fn bundle(&self, hash: BundleHash) -> Result<Bundle, UnitFailure> {
        let (kind, key) = (ContentKind::Bundle, ContentHash(*hash.as_bytes()));
        let stored = self.store.content(&kind, key).await?;
        let missing = || UnitFailure {
            code: "store.corrupt",
            detail: format!("the store has no files for bundle {hash}"),
        };
        match unpacked(hash, stored.ok_or_else(missing)?).await {
            Ok(bundle) => Ok(bundle),
            Err(failure) => match self.store.refetch(&kind, key).await {
                Ok(Some(archive)) => unpacked(hash, archive).await,
                _ => Err(failure),
            },
        }
    }

    /// Compiles a bundle and opens what came of it; and how long it was compiled.
    pub(crate) async fn compile(
        &self,
        bundle: &Bundle,
    ) -> (Result<(Opened, runtime::diagnostic::Diagnostics), ControlError>, Duration) {
        let (done, took) = self.compiler.compile_timed(bundle).await;
        let opened = async {
            let Compilation { compiled, warnings } = done?;
            Ok((self.admit(compiled, bundle.hash()).await?, warnings))
        };
        (opened.await, took)
    }

    /// Keeps the files and the unit of a bundle in the store.
    pub(crate) async fn keep(&self, bundle: &Bundle, opened: &Opened) -> Result<(), StoreError> {
        let key = ContentHash(*bundle.hash().as_bytes());
        self.store.put_content(&ContentKind::Bundle, key, bundle.to_archive().into()).await?;
        self.store.put_content(&self.kind, key, opened.envelope.clone()).await
    }

    async fn admit(&self, compiled: Compiled, bundle: BundleHash) -> Result<Opened, UnitFailure> {
        let keys = self.keys.clone();
        let sealed = crate::blocking::run(move || codec::seal(&compiled, bundle, &keys)).await;
        let lost = |_| UnitFailure { code: "unit.content", detail: "sealing the unit failed".to_owned() };
        self.open(sealed.map_err(lost)?, bundle).await
    }

    async fn open(&self, envelope: bytes::Bytes, bundle: BundleHash) -> Result<Opened, UnitFailure> {
        let (keys, bytes) = (self.keys.clone(), envelope.clone());
        // A hundred cold calls at once must not take the processors from those that run: their units are decoded by half
        // as many threads as there are cores.
        let turn = self.decoders.acquire().await;
        let opened = crate::blocking::run(move || codec::open(&bytes, bundle, &keys)).await;
        let lost = |_| UnitFailure { code: "unit.content", detail: "decoding the unit failed".to_owned() };
        drop(turn);
        let unit = Arc::new(opened.map_err(lost)??);
        let opened = Opened { unit, envelope };
        self.cache.insert(bundle, (Arc::clone(&opened.unit), opened.weight()));
        self.failed.invalidate(&bundle);
        Ok(opened)
    }

    /// Forgets what is in memory, so that a test reads the store again.
    #[cfg(test)]
    pub(crate) fn forget(&self) {
        self.cache.invalidate_all();
    }
}
