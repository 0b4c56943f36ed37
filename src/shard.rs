//! A shard: the only owner of a slice of the series. What is asked of it waits in its `inbox`, in order. Its actor, alone on a
//! thread, does the long jobs; the short ones are done in passing by whoever brings them, if the shard is free.

pub mod batch;
pub mod gate;
mod inbox;
mod job;
pub mod owner;
pub mod route;
pub mod table;
pub mod timeline;

use std::sync::Arc;

use actix::{Actor, Context, Handler, Message};

use inbox::{Hand, Inbox};

/// Look into the inbox.
#[derive(Message)]
#[rtype(result = "()")]
struct Work;

/// The actor. There is never more than one message on its way to it: see [`Inbox::call`].
struct Attendant {
    inbox: Arc<Inbox>,
}

impl Actor for Attendant {
    type Context = Context<Self>;
}

impl Handler<Work> for Attendant {
    type Result = ();

    fn handle(&mut self, _: Work, _: &mut Self::Context) {
        self.inbox.answer_call();
        // A broken shard shows in the readiness.
        let _ = self.inbox.work(Hand::Own);
    }
}
