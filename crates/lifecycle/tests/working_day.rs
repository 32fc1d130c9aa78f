//! A simulated working day with a burst of a minute every twelve minutes, as of a user who builds
//! now and then: what is billed if the paid hour is used to its end, and what if not. A machine
//! takes 40 s to come up and 20 s to be deleted.

use std::sync::Arc;
use std::time::Duration;

use dockbridge_lifecycle::{
    Activity, Billing, Clock, FakeClock, Guard, Kind, Moment, Outcome, Policy, Tenure, decide,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const BURST: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_secs(12 * 60);
const COMES: Duration = Duration::from_secs(40);
const GOES: Duration = Duration::from_secs(20);
const BILLING: Billing = Billing { unit: HOUR, release_takes: Duration::from_secs(90) };

struct Day {
    clock: Arc<FakeClock>,
    activity: Activity,
    policy: Policy,
    /// When the present machine was created.
    made: Option<Moment>,
    /// Lifetimes of the machines that are gone.
    lived: Vec<Duration>,
    waited: Duration,
}

impl Day {
    fn new(keep_paid_hour: bool) -> Self {
        let clock = Arc::new(FakeClock::default());
        clock.advance(HOUR);
        let policy = Policy { keep_paid_hour, ..Policy::default() };
        Self {
            activity: Activity::new(clock.clone()),
            clock,
            policy,
            made: None,
            lived: Vec::new(),
            waited: Duration::ZERO,
        }
    }

    /// A second passes, in which the user may want the engine.
    fn second(&mut self, wants: bool) {
        let now = self.clock.now();
        match self.made {
            None if wants => {
                self.made = Some(now);
                self.waited += COMES;
            }
            None => {}
            Some(made) => {
                let tenure = Tenure {
                    since: made,
                    age: Duration::ZERO,
                    billing: Some(BILLING),
                    budget: None,
                };
                if decide(&self.activity.snapshot(), &self.policy, &tenure, now).outcome
                    == Outcome::Destroy
                {
                    self.lived.push(now.since(made) + GOES);
                    self.made = None;
                }
            }
        }
        self.clock.advance(SECOND);
    }

    /// Works for this long, from the beginning of a burst.
    fn works_for(&mut self, length: Duration) {
        let begun = self.clock.now();
        let mut command: Option<Guard> = None;
        while self.clock.now().since(begun) < length {
            let into =
                Duration::from_secs(self.clock.now().since(begun).as_secs() % EVERY.as_secs());
            let bursts = into < BURST;
            match bursts {
                true if command.is_none() => {
                    command = Some(self.activity.begin(Kind::Command, "POST /build"))
                }
                false => command = None,
                true => {}
            }
            self.second(bursts);
        }
    }

    fn rests_until_it_is_gone(&mut self) -> Duration {
        let begun = self.clock.now();
        while self.made.is_some() {
            self.second(false);
        }
        self.clock.now().since(begun)
    }

    fn billed_hours(&self) -> u64 {
        self.lived.iter().map(|lived| BILLING.begun(*lived - Duration::from_nanos(1))).sum()
    }
}

#[test]
fn bursts_over_a_working_day_bill_one_hour_an_hour_instead_of_five() {
    let hours = |keep_paid_hour| {
        let mut day = Day::new(keep_paid_hour);
        day.works_for(8 * HOUR);
        day.rests_until_it_is_gone();
        (day.billed_hours(), day.lived.len(), day.waited)
    };
    assert_eq!(hours(true), (8, 8, 8 * COMES), "1.0 server-hours per clock hour");
    assert_eq!(hours(false), (40, 40, 40 * COMES), "5 without");
}

#[test]
fn lock_ends_the_machine_in_spite_of_the_paid_hour() {
    let mut day = Day::new(true);
    day.works_for(10 * BURST);
    day.activity.set_locked(true);
    assert_eq!(day.rests_until_it_is_gone(), Policy::default().lock.grace + SECOND);
    assert_eq!(day.billed_hours(), 1);
}
