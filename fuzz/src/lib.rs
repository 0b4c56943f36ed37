//! The way of a push and of a scrape without sockets and actors, with properties in place of answers: what is taken once is
//! taken again and means by its door what it did before, and every page is read again.

mod bodies;
pub mod datagrams;
mod gateway;
mod reading;
pub mod templates;

use catchment::exposition::format::PushFormat;
use catchment::exposition::observation_decode::ObservationKind;
use catchment::model::door::Door;
use catchment::model::labels::GroupLabels;
use catchment::model::name::Escaping;
use catchment::model::value::{GaugePolicy, GaugeRule, Millis};
use catchment::push::GaugeRules;

use gateway::{Gateway, Pusher};
use reading::{assert_same, fallen, totals};

/// Of aggregated gauges, in milliseconds.
const WINDOW: Millis = 1000;

/// Between two pushes: a window is then of some of them.
const STEP: Millis = 20;

/// Stands between the body that is pushed first and the one that all is about, where there are two.
const SEPARATOR: &[u8] = b"\xff\0\xff\0";

/// Takes an input apart: its first byte picks the door and settings, the rest is a body, or two. What decodes is pushed again, as
/// the door has it, and scraped in all formats.
///
/// # Panics
/// If a property does not hold.
pub fn push_and_scrape(format: PushFormat, input: &[u8]) {
    let Some((&choice, body)) = input.split_first() else { return };
    let settings = Settings::new(choice);
    let (before, body) = split(body);
    let round = Round { gateway: Gateway::new(&settings), format, before, body, escaping: settings.escaping, now: 0 };
    match settings.way {
        Way::Aggregate => round.aggregate(&settings.group),
        Way::Source => round.source(),
        Way::Put => round.replace(&settings.group, true),
        Way::Post => round.replace(&settings.group, false),
    }
}

/// The same of observations in JSON, which come by one door and without labels in the path: the first byte picks the settings,
/// the second the kind.
///
/// # Panics
/// If a property does not hold.
pub fn observe_and_scrape(input: &[u8]) {
    use ObservationKind::{Counter, GaugeDecrement, GaugeIncrement, GaugeSet, Histogram, Summary};
    let &[choice, kind, ref body @ ..] = input else { return };
    let settings = Settings::new(choice);
    let kind = [Counter, GaugeIncrement, GaugeDecrement, GaugeSet, Summary, Histogram][usize::from(kind) % 6];
    let (before, body) = split(body);
    let (gateway, format) = (Gateway::new(&settings), PushFormat::Observations(kind));
    Round { gateway, format, before, body, escaping: settings.escaping, now: 0 }.observe();
}

/// The body before the separator, if there is one, and the other.
fn split(bodies: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match bodies.windows(SEPARATOR.len()).position(|window| window == SEPARATOR) {
        Some(at) => (Some(&bodies[..at]), &bodies[at + SEPARATOR.len()..]),
        None => (None, bodies),
    }
}

/// How a body is pushed.
#[derive(Clone, Copy)]
enum Way {
    /// To everyone's series.
    Aggregate,
    /// By two sources in turn.
    Source,
    /// To a group, in place of all that it has.
    Put,
    /// To a group, in place of its families of the same names.
    Post,
}

/// What may differ from server to server, from push to push and from scrape to scrape.
struct Settings {
    way: Way,
    escaping: Escaping,
    gauges: GaugeRules,
    group: GroupLabels,
    /// The label by which series ask for how they are merged.
    mode_label: Option<Box<str>>,
}

impl Settings {
    /// Any byte picks some: its two highest bits the door.
    fn new(choice: u8) -> Self {
        use GaugePolicy::{Last, Max, Mean, Min, Sum};
        let way = [Way::Aggregate, Way::Source, Way::Put, Way::Post][usize::from(choice >> 6)];
        let choice = usize::from(choice & 63);
        let policy = [Last, Sum, Min, Max, Mean][choice / 4 % 5];
        Self {
            way,
            escaping: [Escaping::AllowUtf8, Escaping::Underscores, Escaping::Dots, Escaping::Values][choice % 4],
            gauges: GaugeRules { aggregate: GaugeRule { policy, window: WINDOW }, source: policy },
            group: group(way, choice / 20 % 2 == 1),
            // With it no family has windows for certain: not where gauges have them.
            mode_label: (policy == Last).then(|| "clearmode".into()),
        }
    }
}

/// The labels of the path. A group has some, and may have empty ones.
fn group(way: Way, is_odd: bool) -> GroupLabels {
    let labels: &[(&str, &str)] = match (way, is_odd) {
        (Way::Aggregate | Way::Source, false) => &[],
        (Way::Aggregate | Way::Source, true) => &[("job", "\"é"), ("b.c", "\n")],
        (Way::Put | Way::Post, false) => &[("job", "a")],
        (Way::Put | Way::Post, true) => &[("job", "\"é"), ("b.c", "\n"), ("empty", "")],
    };
    GroupLabels::new(labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))).expect("other names")
}

/// One body and the gateway that it is pushed to, again and again.
struct Round<'b> {
    gateway: Gateway,
    format: PushFormat,
    /// What the same pusher has pushed before it.
    before: Option<&'b [u8]>,
    body: &'b [u8],
    escaping: Escaping,
    now: Millis,
}

impl Round<'_> {
    /// Pushes what comes before the body, taken or not, and the body. Returns whether that was taken.
    fn begin(&mut self, pusher: &Pusher) -> bool {
        if let Some(before) = self.before
            && self.gateway.push(self.format, before, pusher, self.now).is_ok()
        {
            self.check_pages();
        }
        self.push(pusher)
    }

    /// Pushes the body. Returns whether it was taken.
    fn push(&mut self, pusher: &Pusher) -> bool {
        self.now += STEP;
        self.gateway.push(self.format, self.body, pusher, self.now).is_ok()
    }

    /// Pushes once more what was taken.
    fn push_again(&mut self, pusher: &Pusher) {
        self.now += STEP;
        if let Err(refused) = self.gateway.push(self.format, self.body, pusher, self.now) {
            panic!("a push was taken, and refused when it came again: {refused:?}");
        }
    }

    fn check_pages(&mut self) {
        self.gateway.check_pages(self.escaping, self.now);
    }

    fn aggregate(mut self, group: &GroupLabels) {
        if self.aggregate_twice(group) {
            self.by_other_doors(Door::Aggregate, group);
        }
    }

    /// Observations are merged whatever the door beside them.
    fn observe(mut self) {
        self.aggregate_twice(&GroupLabels::default());
    }

    /// Returns whether the body was taken.
    fn aggregate_twice(&mut self, group: &GroupLabels) -> bool {
        let everyone = Pusher::everyone(group);
        let is_taken = self.begin(&everyone);
        if is_taken {
            self.check_pages();
            self.push_again(&everyone);
            self.check_pages();
        }
        is_taken
    }

    /// What two sources have counted is shown together, each counts once however often it says so, and what they have counted
    /// stays when they go.
    fn source(mut self) {
        let [first, second] = [0, 1].map(Pusher::source);
        if !self.begin(&first) {
            return;
        }
        self.check_pages();
        let of_one = totals(&self.gateway.whole_page(self.now));
        self.push_again(&second);
        let of_both = totals(&self.gateway.whole_page(self.now));
        assert_eq!(fallen(&of_one, &of_both), None, "a total fell when another source came");
        let page = self.gateway.text_page(self.now);
        for source in [&first, &second] {
            self.push_again(source);
        }
        assert_eq!(page, self.gateway.text_page(self.now), "who repeats a running value adds nothing to it");
        self.check_pages();
        for source in 0..2 {
            self.gateway.forget_source(source);
            let of_those_left = totals(&self.gateway.whole_page(self.now));
            assert_eq!(fallen(&of_both, &of_those_left), None, "a total fell when a source went");
        }
        self.check_pages();
        self.by_other_doors(Door::Source, &GroupLabels::default());
    }

    /// A group shows what was pushed last, whole; a scrape that has begun shows what was there when it did.
    fn replace(mut self, labels: &GroupLabels, is_put: bool) {
        let group = Pusher::group(labels, is_put);
        if !self.begin(&group) {
            return;
        }
        self.check_pages();
        let page = self.gateway.whole_page(self.now);
        let scrape = self.gateway.begin_whole_page();
        self.push_again(&group);
        assert_same(&page, &self.gateway.whole_page(self.now), "what a group shows is what was pushed");
        self.gateway.empty_group(&group, self.now);
        assert_same(&page, &self.gateway.page(&scrape, self.now), "a scrape shows what was there when it began");
        assert!(self.gateway.whole_page(self.now).is_empty(), "a group that was emptied shows nothing");
        self.push_again(&group);
        self.by_other_doors(Door::Replace, labels);
    }

    /// What was taken by one door comes by the others, which may refuse it.
    fn by_other_doors(&mut self, door: Door, labels: &GroupLabels) {
        for pusher in [Pusher::everyone(labels), Pusher::source(2), Pusher::other_group(labels)] {
            if pusher.door() != door && self.push(&pusher) {
                self.check_pages();
            }
        }
    }
}
