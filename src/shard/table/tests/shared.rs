//! Batches that come again and again, with hints at where their series are, against a naive map, while series come and go.

use super::*;

const FAMILIES: [(u32, &str); 2] = [(0, "a"), (1, "b")];

/// What happens to a table.
#[derive(Clone, Debug)]
enum Event {
    /// One of the shared batches comes, with this value.
    Push(usize, f64),
    /// Some other series comes or goes.
    Other(u8),
    Remove(u8),
    Wipe,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0usize..3, 0u8..100).prop_map(|(batch, value)| Event::Push(batch, f64::from(value))),
        3 => any::<u8>().prop_map(Event::Other),
        3 => any::<u8>().prop_map(Event::Remove),
        1 => Just(Event::Wipe),
    ]
}

fn labels(number: u8) -> String {
    format!("n=\"{}\"", number % 24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn values_go_to_their_series_wherever_those_are(events in proptest::collection::vec(event(), 1..80)) {
        let router = Router::new(1);
        let context = context(FAMILIES);
        let shared: [Batch; 3] = [0..8u8, 4..20, 0..24].map(|numbers| {
            let numbers: Vec<_> = numbers.map(|number| (u32::from(number % 2), labels(number), 0.0)).collect();
            let mut batch = batch(&router, &context, &numbers);
            batch.share();
            batch
        });
        let mut table = Table::new(router.clone());
        let mut twin: BTreeMap<(u32, String), f64> = BTreeMap::new();
        for event in events {
            match event {
                Event::Push(index, value) => {
                    let mut batch = shared[index].clone();
                    batch.numbers.iter_mut().for_each(|update| update.value = value);
                    for NumberUpdate { series, value } in &batch.numbers {
                        *twin.entry((series.family, batch.key(*series).to_owned())).or_default() += value;
                    }
                    table.apply(batch, &context, &Owner::Everyone, 0);
                }
                Event::Other(number) => {
                    let numbers = [(u32::from(number % 3 == 0), labels(number), 1.0)];
                    table.apply(batch(&router, &context, &numbers), &context, &Owner::Everyone, 0);
                    let [(family, labels, value)] = numbers;
                    *twin.entry((family, labels)).or_default() += value;
                }
                Event::Remove(number) => {
                    let selection = Selection::Aggregated([("n".to_owned(), (number % 24).to_string())].into());
                    sweep(&mut table, &selection, 0);
                    twin.retain(|(_, of), _| *of != labels(number));
                }
                Event::Wipe => {
                    drop(table.take());
                    twin.clear();
                }
            }
            assert_whole(&table);
        }
        let mut expected = String::new();
        for ((family, labels), value) in twin {
            expected += &format!("{}{{{labels}}} {value}\n", FAMILIES[family as usize].1);
        }
        prop_assert_eq!(exposition(&mut table, &context, 100), expected);
    }
}
