//! The templates of pushes that come again and again, shared by all workers. Most programs push the same series each time.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::template::{Template, hash_beginning};
use super::{Assembled, Intake, RawPush};
use crate::model::door::Door;
use crate::registry::Registry;
use crate::shard::gate::{Budget, Permit};

/// A bounded store of templates.
#[derive(Debug)]
pub struct Templates {
    /// By the low bits of the key, so that workers seldom meet.
    shelves: Vec<Mutex<Shelf>>,
    /// Bytes that all templates may have.
    room: Arc<Budget>,
    hasher: ahash::RandomState,
}

/// Which template a push may be like: a hash of all but its values up to the first one. Templates compare the rest, so pushes
/// that meet here are at worst slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TemplateKey(u64);

#[derive(Debug, Default)]
struct Shelf {
    slots: HashMap<TemplateKey, Slot, ahash::RandomState>,
    /// Counts the uses of all slots.
    uses: u64,
    /// No template is made before so many uses: there was no room, and those that are here were all used lately.
    full_until: u64,
}

/// What is known of the pushes of one key.
#[derive(Debug, Default)]
struct Slot {
    template: Option<Kept>,
    last_use: u64,
    /// How often the template was used.
    fills: u32,
    /// How often a push was not like the template.
    failures: u32,
    /// Pushes to come that are not worth a template.
    skips: u32,
}

impl Slot {
    /// A template used more often was worth making, whatever came then.
    const OFTEN: u32 = 16;
}

/// A template, and its part of the room.
#[derive(Debug)]
struct Kept {
    template: Arc<Template>,
    _room: Permit,
}

impl Templates {
    const SHELVES: usize = 16;

    /// Holds templates of up to so many bytes.
    pub fn new(most_bytes: usize) -> Self {
        let shelves = (0..Self::SHELVES).map(|_| Mutex::default()).collect();
        Self { shelves, room: Budget::new(most_bytes), hasher: ahash::RandomState::new() }
    }

    /// The key of a push. `None` if none is made of such: it has no value, or the door looks at each push by itself.
    pub fn key(&self, push: RawPush<'_>) -> Option<TemplateKey> {
        let mut hasher = self.hasher.build_hasher();
        let has_key = push.pushed.door != Door::Replace && hash_beginning(push, &mut hasher);
        has_key.then(|| TemplateKey(hasher.finish()))
    }

    /// The push as its template has it, if there is one and the push is like it.
    pub fn fill(&self, key: TemplateKey, push: RawPush<'_>, registry: &Registry) -> Option<Assembled> {
        let template = self.shelf(key).template(key)?;
        let filled = template.fill(push, registry);
        if filled.is_none() {
            self.differs(key);
        }
        filled
    }

    /// Forgets the template: the families are not any more what it says they are.
    pub fn forget(&self, key: TemplateKey) {
        self.shelf(key).forget(key);
    }

    /// Pushes of this key are not alike, or not worth a template.
    fn differs(&self, key: TemplateKey) {
        self.shelf(key).differs(key);
    }

    /// Takes note of a push that was taken apart without fault. If one of its key was before, a template is made.
    pub fn learn(&self, key: TemplateKey, push: RawPush<'_>, intake: &mut Intake<'_>) {
        if !self.shelf(key).is_worth_a_template(key) {
            return;
        }
        let Some(template) = Template::learn(push, intake) else { return self.differs(key) };
        let bytes = template.bytes();
        if bytes > self.room.limit() {
            // There will never be room: no others need go for it.
            return self.differs(key);
        }
        let room = self.room.take(bytes).or_else(|| {
            self.make_room();
            self.room.take(bytes)
        });
        if let Some(room) = room {
            self.shelf(key).put(key, Kept { template: Arc::new(template), _room: room });
        }
    }

    /// Lets templates go that have not been used for long; if all are in use, those stay, and no others come for a while.
    fn make_room(&self) {
        self.shelves.iter().for_each(|shelf| lock(shelf).make_room());
    }

    fn shelf(&self, key: TemplateKey) -> MutexGuard<'_, Shelf> {
        lock(&self.shelves[key.0 as usize % Self::SHELVES])
    }
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    // A cache: whatever a panic left of it is as good as any.
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shelf {
    /// Slots: those without a template take little, but there is no end of keys.
    const MOST_SLOTS: usize = 16 * 1024;

    fn template(&mut self, key: TemplateKey) -> Option<Arc<Template>> {
        let slot = self.slots.get_mut(&key)?;
        self.uses += 1;
        slot.last_use = self.uses;
        let kept = slot.template.as_ref()?;
        slot.fills = slot.fills.saturating_add(1);
        Some(Arc::clone(&kept.template))
    }

    /// Whether a push of this key came before, and pushes of it were not in vain compared with a template too often.
    fn is_worth_a_template(&mut self, key: TemplateKey) -> bool {
        self.uses += 1;
        let is_full = self.uses < self.full_until;
        if self.slots.len() >= Self::MOST_SLOTS && !is_full {
            self.make_room();
        }
        let has_room = self.slots.len() < Self::MOST_SLOTS;
        match self.slots.get_mut(&key) {
            None if !has_room => false,
            None => {
                self.slots.insert(key, Slot { last_use: self.uses, ..Slot::default() });
                false
            }
            Some(slot) if slot.skips > 0 => {
                slot.skips -= 1;
                false
            }
            Some(slot) => slot.template.is_none() && !is_full,
        }
    }

    fn put(&mut self, key: TemplateKey, kept: Kept) {
        let slot = self.slots.entry(key).or_default();
        slot.last_use = self.uses;
        slot.template = Some(kept);
    }

    fn make_room(&mut self) {
        let (uses, lately) = (self.uses, 4 * self.slots.len() as u64);
        self.slots.retain(|_, slot| uses - slot.last_use <= lately);
        self.full_until = uses + lately;
    }

    fn forget(&mut self, key: TemplateKey) {
        if let Some(slot) = self.slots.get_mut(&key) {
            slot.template = None;
        }
    }

    /// The next template of this key is made later and later, until some are used often.
    fn differs(&mut self, key: TemplateKey) {
        const MOST_DOUBLINGS: u32 = 10;
        let slot = self.slots.entry(key).or_default();
        if slot.fills > Slot::OFTEN {
            slot.failures = 0;
        }
        slot.skips = 1 << slot.failures.min(MOST_DOUBLINGS);
        slot.failures += 1;
        slot.fills = 0;
        slot.template = None;
    }
}
