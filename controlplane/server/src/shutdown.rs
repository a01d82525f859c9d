//! The end of the process, as a value that tasks wait for.

use tokio::sync::watch;

/// Begins the shutdown when [`Trigger::pull`]ed or dropped.
#[derive(Debug)]
pub struct Trigger(watch::Sender<bool>);

/// Tells a task that it must come to an end.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// A trigger and what waits for it.
#[must_use]
pub fn channel() -> (Trigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Shutdown(receiver))
}

impl Trigger {
    /// Begins the shutdown.
    pub fn pull(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Waits until the shutdown begins. May be cancelled without loss.
    pub async fn begun(&mut self) {
        // An error means that the trigger is gone, which begins the shutdown as well.
        let _ = self.0.wait_for(|begun| *begun).await;
    }
}
