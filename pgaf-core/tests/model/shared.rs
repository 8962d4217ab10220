//! What many situations have in common is kept once: there are far fewer hosts than there are worlds made of them.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, LazyLock, Mutex};

/// Locks, so that threads seldom meet.
const SHARDS: usize = 64;

/// A value that others may have, too; whoever changes it gets a copy.
#[derive(Clone)]
pub(crate) struct Shared<T> {
    value: Arc<T>,
    /// Known since the value was last put among the others.
    hash: Option<u64>,
}

/// All values of a type, by their hashes.
pub(crate) struct Pool<T>(LazyLock<Vec<Mutex<HashSet<Arc<T>>>>>);

/// A type whose values are kept once.
pub(crate) trait Pooled: Sized + Clone + Eq + Hash + 'static {
    fn pool() -> &'static Pool<Self>;
}

impl<T: Eq + Hash> Pool<T> {
    pub(crate) const fn new() -> Self {
        Self(LazyLock::new(|| (0..SHARDS).map(|_| Mutex::new(HashSet::new())).collect()))
    }

    fn find(&self, value: &Arc<T>, hash: u64) -> Arc<T> {
        let shard = &self.0[hash as usize % SHARDS];
        let mut known = shard.lock().expect("no thread panics with a pool in its hands");
        if let Some(known) = known.get(value) {
            return Arc::clone(known);
        }
        known.insert(Arc::clone(value));
        Arc::clone(value)
    }
}

impl<T: Hash> Shared<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Arc::new(value), hash: None }
    }

    fn hash_of(value: &T) -> u64 {
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        hasher.finish()
    }
}

impl<T: Pooled> Shared<T> {
    /// Puts the value among the others, unless it is one of them.
    pub(crate) fn unify(&mut self) {
        if self.hash.is_none() {
            let hash = Self::hash_of(&self.value);
            self.value = T::pool().find(&self.value, hash);
            self.hash = Some(hash);
        }
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.hash = None;
        Arc::make_mut(&mut self.value)
    }
}

impl<T: Eq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        let has_other_hash = self.hash.zip(other.hash).is_some_and(|(one, two)| one != two);
        Arc::ptr_eq(&self.value, &other.value) || (!has_other_hash && self.value == other.value)
    }
}

impl<T: Eq> Eq for Shared<T> {}

impl<T: Hash> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.unwrap_or_else(|| Self::hash_of(&self.value)).hash(state);
    }
}

impl<T: fmt::Debug> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}
