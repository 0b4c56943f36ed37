//! Admission: how much may be on its way to a shard, and how many series may be stored. What is admitted rides with the
//! batch as a ticket and is given back when the batch has been applied, or dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::oneshot;

/// A bounded amount of something, taken and given back from any thread.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    taken: AtomicUsize,
    /// The part of it that is taken for good.
    kept: AtomicUsize,
}

impl Budget {
    /// Nothing is taken yet.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, taken: AtomicUsize::new(0), kept: AtomicUsize::new(0) })
    }

    /// What can be taken in all.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// What is taken now.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    /// What is taken for good: the rest will be given back, or most of it.
    pub fn kept(&self) -> usize {
        self.kept.load(Ordering::Relaxed)
    }

    /// Gives back what was taken for good.
    pub fn give_back(&self, amount: usize) {
        self.kept.fetch_sub(amount, Ordering::Relaxed);
        self.taken.fetch_sub(amount, Ordering::Relaxed);
    }

    /// A permit of nothing, which there always is.
    pub fn nothing(self: &Arc<Self>) -> Permit {
        Permit { budget: Arc::clone(self), amount: 0 }
    }

    /// Takes `amount`, or nothing if it does not fit.
    pub fn take(self: &Arc<Self>, amount: usize) -> Option<Permit> {
        let fits = |taken: usize| taken.checked_add(amount).filter(|sum| *sum <= self.limit);
        self.taken.try_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Permit { budget: Arc::clone(self), amount })
    }
}

/// An amount taken from a budget; dropped, it is given back.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    amount: usize,
}

impl Permit {
    /// Takes more from the same budget; if that does not fit, the permit stays as it is.
    pub fn grow(&mut self, amount: usize) -> bool {
        match self.budget.take(amount) {
            Some(more) => {
                self.amount += more.into_amount();
                true
            }
            None => false,
        }
    }

    /// Splits a part off, at most all of it.
    pub fn split(&mut self, amount: usize) -> Self {
        let amount = amount.min(self.amount);
        self.amount -= amount;
        Self { budget: Arc::clone(&self.budget), amount }
    }

    /// Keeps `amount` taken for good, more or less than was permitted, and gives the rest back.
    pub fn settle(self, amount: usize) {
        let budget = Arc::clone(&self.budget);
        let permitted = self.into_amount();
        budget.kept.fetch_add(amount, Ordering::Relaxed);
        budget.taken.fetch_add(amount, Ordering::Relaxed);
        budget.taken.fetch_sub(permitted, Ordering::Relaxed);
    }

    /// The amount, which stays taken.
    fn into_amount(mut self) -> usize {
        std::mem::take(&mut self.amount)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.amount, Ordering::Relaxed);
    }
}

/// The way into one shard.
#[derive(Debug)]
pub struct Gate {
    /// Batches on their way.
    pub batches: Arc<Budget>,
    /// Their bytes.
    pub bytes: Arc<Budget>,
}

/// A batch's place on the way to its shard.
#[derive(Debug)]
pub struct Place {
    _batches: Permit,
    _bytes: Permit,
}

impl Gate {
    /// Lets in up to `batches` batches of `bytes` bytes in all.
    pub fn new(batches: usize, bytes: usize) -> Self {
        Self { batches: Budget::new(batches), bytes: Budget::new(bytes) }
    }

    /// A place for one batch, if there is room. A batch larger than all the room there is has a place when the way is empty.
    pub fn enter(&self, bytes: usize) -> Option<Place> {
        let bytes = bytes.min(self.bytes.limit());
        Some(Place { _batches: self.batches.take(1)?, _bytes: self.bytes.take(bytes)? })
    }
}

/// Waits until every batch of a push has been applied.
#[derive(Debug)]
pub struct Acknowledgement {
    answer: oneshot::Receiver<bool>,
}

impl Acknowledgement {
    /// Whether all was applied. Not so if a shard has failed.
    pub async fn is_applied(self) -> bool {
        self.answer.await.unwrap_or(false)
    }
}

/// Makes the tickets of one push.
#[derive(Debug)]
pub struct TicketBook {
    progress: Arc<Progress>,
}

#[derive(Debug)]
struct Progress {
    was_lost: AtomicBool,
    answer: Option<oneshot::Sender<bool>>,
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            // The pusher may have gone.
            let _ = answer.send(!*self.was_lost.get_mut());
        }
    }
}

impl TicketBook {
    /// The acknowledgement comes when the book and all its tickets are gone.
    pub fn new() -> (Self, Acknowledgement) {
        let (sender, answer) = oneshot::channel();
        let progress = Progress { was_lost: AtomicBool::new(false), answer: Some(sender) };
        (Self { progress: Arc::new(progress) }, Acknowledgement { answer })
    }

    /// The ticket of one batch, which may create as many series as `series` permits.
    pub fn ticket(&self, place: Place, series: Permit) -> Ticket {
        Ticket { _place: place, series: Some(series), progress: Arc::clone(&self.progress) }
    }
}

/// Rides with a batch. Dropped without being redeemed, it makes the push fail.
#[derive(Debug)]
pub struct Ticket {
    _place: Place,
    /// Taken when the ticket is redeemed.
    series: Option<Permit>,
    progress: Arc<Progress>,
}

impl Ticket {
    /// The batch has been applied and created so many series.
    pub fn redeem(mut self, created: usize) {
        if let Some(series) = self.series.take() {
            series.settle(created);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.series.is_some() {
            self.progress.was_lost.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_never_exceeded_and_given_back_whole() {
        let budget = Budget::new(100);
        std::thread::scope(|scope| {
            for thread in 1..5 {
                let budget = &budget;
                scope.spawn(move || {
                    for round in 0..2000 {
                        let permit = budget.take(thread * 7 % 50 + round % 13);
                        assert!(budget.taken() <= 100);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(budget.taken(), 0);
    }

    #[test]
    fn permits_grow_split_and_settle() {
        let budget = Budget::new(10);
        let mut permit = budget.take(4).expect("fits");
        assert!(permit.grow(6) && !permit.grow(1));
        let part = permit.split(3);
        drop(permit);
        assert_eq!(budget.taken(), 3);
        assert_eq!(budget.kept(), 0);
        part.settle(2);
        assert_eq!((budget.taken(), budget.kept()), (2, 2));
        assert!(budget.take(usize::MAX).is_none());
    }

    #[test]
    fn a_gate_counts_batches_and_bytes() {
        let gate = Gate::new(2, 100);
        let first = gate.enter(60).expect("room");
        assert!(gate.enter(41).is_none());
        assert_eq!(gate.batches.taken(), 1, "a batch without room for its bytes has no place either");
        let _second = gate.enter(40).expect("room");
        drop(first);
        assert!(gate.enter(0).is_some());
    }

    #[test]
    fn a_batch_beyond_the_limit_waits_for_an_empty_way() {
        let gate = Gate::new(10, 100);
        let small = gate.enter(1).expect("room");
        assert!(gate.enter(1000).is_none());
        drop(small);
        let _large = gate.enter(1000).expect("the way is empty");
        assert!(gate.enter(1).is_none());
    }

    #[actix_rt::test]
    async fn a_push_is_acknowledged_when_its_last_ticket_is_redeemed() {
        let (series, gate) = (Budget::new(10), Gate::new(10, 10));
        let mut permit = series.take(5).expect("fits");
        let (book, acknowledgement) = TicketBook::new();
        let tickets = [1, 4].map(|amount| book.ticket(gate.enter(1).expect("room"), permit.split(amount)));
        drop((book, permit));
        for ticket in tickets {
            ticket.redeem(1);
        }
        assert!(acknowledgement.is_applied().await);
        assert_eq!((series.taken(), gate.batches.taken()), (2, 0));
    }

    #[actix_rt::test]
    async fn a_lost_ticket_fails_the_push() {
        let (series, gate) = (Budget::new(10), Gate::new(10, 10));
        let (book, acknowledgement) = TicketBook::new();
        let kept = book.ticket(gate.enter(1).expect("room"), series.take(1).expect("fits"));
        drop(book.ticket(gate.enter(1).expect("room"), series.take(1).expect("fits")));
        drop(book);
        kept.redeem(1);
        assert!(!acknowledgement.is_applied().await);
    }
}
