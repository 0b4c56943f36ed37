//! The file in which a Pushgateway keeps its groups. What is read of it is within the file, and the groups become bodies that
//! may be pushed.

#![no_main]

use catchment::exposition::decode;
use catchment::exposition::decoded::Decoded;
use catchment::exposition::error::Limits;
use catchment::exposition::format::PushFormat;
use catchment::model::labels::LabelHasher;
use catchment::pushgateway_file::{PersistedGroup, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| match read(file) {
    Ok(groups) => {
        assert!(entries(&groups) <= file.len(), "{} entries of {} bytes", entries(&groups), file.len());
        assert!(text(&groups) <= file.len(), "{} bytes of {}", text(&groups), file.len());
        for group in &groups {
            assert!(group.labels.is_sorted());
            let (mut arena, mut decoded) = (Vec::new(), Decoded::default());
            let body = group.delimited_body();
            // Whether it is taken is not the file's matter.
            let _ =
                decode(PushFormat::Protobuf, &body, &Limits::default(), &LabelHasher::new(), &mut arena, &mut decoded);
        }
    }
    Err(error) => assert!(error.at <= file.len(), "{error} in {} bytes", file.len()),
});

/// Everything that takes memory of its own.
fn entries(groups: &[PersistedGroup<'_>]) -> usize {
    groups.iter().map(|group| 1 + group.labels.len() + group.families.len()).sum()
}

/// What is copied, and what is pointed at.
fn text(groups: &[PersistedGroup<'_>]) -> usize {
    let labels = groups.iter().flat_map(|group| &group.labels).map(|(name, value)| name.len() + value.len());
    let families =
        groups.iter().flat_map(|group| &group.families).map(|family| family.name.len() + family.family.len());
    labels.chain(families).sum()
}
