//! What a push means: the three doors.

use std::fmt;

/// The door that a push comes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Door {
    /// A pushed value is an increment since the pusher's last push; all pushers share the series.
    Aggregate,
    /// A pushed value is the source's own running value; a series shows all its sources.
    Source,
    /// A pushed value is what to show; a series belongs to its group.
    Replace,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Aggregate, Self::Source, Self::Replace];

    /// As it stands in paths and settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aggregate => "aggregate",
            Self::Source => "source",
            Self::Replace => "replace",
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
