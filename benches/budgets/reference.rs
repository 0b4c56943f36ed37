//! The reference loop: the least that an ingest path can do. Find the line's end, hash the raw `name{labels}` bytes, look them
//! up with a comparison of the whole key, add.

use hashbrown::HashTable;

/// Values by raw key.
#[derive(Default)]
pub struct Reference {
    hasher: ahash::RandomState,
    index: HashTable<u32>,
    /// Where each key stands in `bytes`.
    keys: Vec<(usize, usize)>,
    bytes: Vec<u8>,
    values: Vec<f64>,
}

impl Reference {
    /// Adds every line's value.
    pub fn push(&mut self, body: &str) {
        let mut rest = body.as_bytes();
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let line = &rest[..end];
            let blank = memchr::memrchr(b' ', line).expect("a sample line has a blank");
            let value: f64 = fast_float2::parse(&line[blank + 1..]).expect("a sample line ends in a number");
            self.add(&line[..blank], value);
            rest = &rest[end + 1..];
        }
    }

    /// The sum of all values.
    pub fn total(&self) -> f64 {
        self.values.iter().sum()
    }

    #[inline]
    fn add(&mut self, key: &[u8], value: f64) {
        let hash = self.hasher.hash_one(key);
        let is_same = |slot: &u32| {
            let (start, end) = self.keys[*slot as usize];
            self.bytes[start..end] == *key
        };
        match self.index.find(hash, is_same) {
            Some(slot) => self.values[*slot as usize] += value,
            None => self.create(hash, key, value),
        }
    }

    fn create(&mut self, hash: u64, key: &[u8], value: f64) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.keys.push((start, self.bytes.len()));
        self.values.push(value);
        let Self { hasher, index, keys, bytes, values } = self;
        let hash_of = |slot: &u32| {
            let (start, end) = keys[*slot as usize];
            hasher.hash_one(&bytes[start..end])
        };
        index.insert_unique(hash, values.len() as u32 - 1, hash_of);
    }
}
