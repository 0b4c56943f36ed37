use catchment::aggregate::*;
use catchment::exposition::error::Limits;
use catchment::exposition::text_decode::{Decoded, decode};
use catchment::model::labels::GroupLabels;
use catchment::push::*;
use catchment::registry::*;
use catchment::shard::batch::*;
use catchment::shard::table::*;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Instant;

fn line(out: &mut String, i: usize) {
    use std::fmt::Write;
    let fam = i % 20;
    let _ = write!(
        out,
        "http_requests_{fam:02}_total{{code=\"{}\",handler=\"/api/v1/items/{:07}\",instance=\"10.0.{}.{}:9100\",job=\"api\",method=\"post\"}} {}\n",
        200 + i % 5,
        i,
        (i / 250) % 250,
        i % 250,
        i % 1000
    );
}
fn bodies(series: usize) -> Vec<String> {
    let mut order: Vec<usize> = (0..series).collect();
    let mut s = 0x9E3779B97F4A7C15u64;
    for i in (1..order.len()).rev() {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        order.swap(i, (s % (i as u64 + 1)) as usize);
    }
    order
        .chunks(1000)
        .map(|c| {
            let mut c = c.to_vec();
            c.sort_by_key(|i| i % 20);
            let mut b = String::new();
            for i in c {
                line(&mut b, i)
            }
            b
        })
        .collect()
}

struct Reference {
    h: ahash::RandomState,
    t: HashTable<u32>,
    keys: Vec<(usize, usize)>,
    arena: Vec<u8>,
    vals: Vec<f64>,
}
impl Reference {
    fn push(&mut self, body: &[u8]) {
        let mut rest = body;
        while !rest.is_empty() {
            let nl = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            let l = &rest[..nl];
            let sp = memchr::memrchr(b' ', l).unwrap();
            let (k, v) = (&l[..sp], fast_float2::parse::<f64, _>(&l[sp + 1..]).unwrap());
            let hash = self.h.hash_one(k);
            match self.t.find(hash, |&s| {
                let (a, b) = self.keys[s as usize];
                &self.arena[a..b] == k
            }) {
                Some(&s) => self.vals[s as usize] += v,
                None => {
                    let a = self.arena.len();
                    self.arena.extend_from_slice(k);
                    self.keys.push((a, a + k.len()));
                    self.vals.push(v);
                    let s = self.vals.len() as u32 - 1;
                    let (h, keys, arena) = (&self.h, &self.keys, &self.arena);
                    self.t.insert_unique(hash, s, |&s| {
                        let (a, b) = keys[s as usize];
                        h.hash_one(&arena[a..b])
                    });
                }
            }
            rest = &rest[(nl + 1).min(rest.len())..];
        }
    }
}
struct Ours {
    d: Decoded,
    a: Assembler,
    reg: Registry,
    router: Router,
    tables: Vec<Table>,
    rules: PushRules,
    t: [f64; 3],
}
impl Ours {
    fn push(&mut self, body: &[u8]) {
        let t0 = Instant::now();
        let text = decode(body, &self.rules.limits, self.router.hasher(), &mut self.d).unwrap();
        let t1 = Instant::now();
        let view = self.reg.view();
        let asm = self.a.assemble(text, &self.d, &GroupLabels::default(), &self.rules, &view, &self.router).unwrap();
        drop(view);
        let rules: Vec<_> = asm.families.iter().map(|f| f.number_rule).collect();
        let fams = self.reg.commit(asm.families.into_iter().map(|f| f.wanted).collect(), asm.generation).unwrap();
        let fams: Arc<[BatchFamily]> =
            fams.into_iter().zip(rules).map(|(family, number_rule)| BatchFamily { family, number_rule }).collect();
        let t2 = Instant::now();
        for (t, b) in self.tables.iter_mut().zip(asm.batches) {
            t.apply(b, &fams, 0);
        }
        let t3 = Instant::now();
        self.t[0] += (t1 - t0).as_secs_f64();
        self.t[1] += (t2 - t1).as_secs_f64();
        self.t[2] += (t3 - t2).as_secs_f64();
    }
}
fn main() {
    for series in [1000usize, 100_000, 1_000_000] {
        let bodies = bodies(series);
        let mut r =
            Reference { h: ahash::RandomState::new(), t: HashTable::new(), keys: vec![], arena: vec![], vals: vec![] };
        let shards = 2;
        let mut o = Ours {
            d: Decoded::default(),
            a: Assembler::default(),
            reg: Registry::new(1000),
            router: Router::new(shards),
            tables: (0..shards).map(|_| Table::default()).collect(),
            rules: PushRules {
                gauges: GaugeRule { policy: GaugePolicy::Last, window: 1000 },
                summaries: SummaryPolicy::SumCount,
                limits: Limits::default(),
            },
            t: [0.0; 3],
        };
        for b in &bodies {
            r.push(b.as_bytes());
            o.push(b.as_bytes());
        }
        o.t = [0.0; 3];
        let reps = std::env::var("REPS").ok().and_then(|r| r.parse().ok()).unwrap_or((2_000_000 / series).max(1));
        let mut ratios = vec![];
        let (mut rt, mut ot) = (0.0, 0.0);
        for _ in 0..7 {
            let t = Instant::now();
            for _ in 0..reps {
                for b in &bodies {
                    r.push(b.as_bytes())
                }
            }
            let a = t.elapsed().as_secs_f64();
            let t = Instant::now();
            for _ in 0..reps {
                for b in &bodies {
                    o.push(b.as_bytes())
                }
            }
            let b = t.elapsed().as_secs_f64();
            ratios.push(a / b);
            rt += a;
            ot += b;
        }
        ratios.sort_by(f64::total_cmp);
        let n = 7.0 * (reps * series) as f64 / 1e9;
        println!(
            "{series}: ref {:.1} ns ours {:.1} ns ratio {:.3} [decode {:.1} assemble {:.1} apply {:.1}]",
            rt / n,
            ot / n,
            ratios[3],
            o.t[0] / n,
            o.t[1] / n,
            o.t[2] / n
        );
    }
}
