//! The label shapes of the stored series: few for many series, so each is kept once.

use std::collections::HashMap;
use std::num::NonZeroU32;

use crate::exposition::proto_encode::LabelShape;

/// Which shape; one more than its index.
pub(super) type ShapeId = NonZeroU32;

/// Shapes by id. Beyond [`Shapes::MOST`] no more are kept: whoever pushes label sets all of another shape must not fill the
/// memory, and their series are encoded without.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    shapes: Vec<LabelShape>,
    ids: HashMap<LabelShape, ShapeId, ahash::RandomState>,
}

impl Shapes {
    const MOST: usize = 4096;

    /// The shape of a new series' label text.
    pub fn of(&mut self, labels: &str) -> Option<ShapeId> {
        let shape = LabelShape::of(labels)?;
        if let Some(id) = self.ids.get(&shape) {
            return Some(*id);
        }
        if self.shapes.len() == Self::MOST {
            return None;
        }
        self.shapes.push(shape.clone());
        let id = ShapeId::new(self.shapes.len() as u32)?;
        self.ids.insert(shape, id);
        Some(id)
    }

    /// The shape of an id.
    #[inline]
    pub fn get(&self, id: Option<ShapeId>) -> Option<&LabelShape> {
        self.shapes.get(id?.get() as usize - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_is_kept_once_and_not_too_many() {
        let mut shapes = Shapes::default();
        let first = shapes.of("a=\"1\"");
        assert_eq!((first.is_some(), shapes.of("a=\"2\"")), (true, first));
        assert_eq!(shapes.get(first), LabelShape::of("a=\"3\"").as_ref());
        let names = (0..Shapes::MOST).map(|name| format!("a{name:05}=\"1\""));
        assert_eq!(names.filter(|labels| shapes.of(labels).is_some()).count(), Shapes::MOST - 1);
        assert_eq!(shapes.of("a=\"2\""), first, "known ones stay");
        assert_eq!(shapes.get(None), None);
    }
}
