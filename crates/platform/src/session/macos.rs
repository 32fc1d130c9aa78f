//! macOS: the lock, from the window server's description of the user's session, and sleep, from
//! IOKit's power notifications.
//!
//! The distributed lock notifications say when to read the description. They may arrive only on the
//! main thread's run loop, so the session is polled every two seconds as well. All of this runs on
//! one thread with its own run loop, so the callbacks' state is a thread-local.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::time::Duration;

use core_foundation_sys::base::{CFIndex, CFRelease, kCFAllocatorDefault};
use core_foundation_sys::dictionary::{CFDictionaryGetValue, CFDictionaryRef};
use core_foundation_sys::notification_center::{
    CFNotificationCenterAddObserver, CFNotificationCenterGetDistributedCenter,
    CFNotificationCenterRef, CFNotificationCenterRemoveEveryObserver, CFNotificationName,
    CFNotificationSuspensionBehaviorDeliverImmediately,
};
use core_foundation_sys::number::CFBooleanGetValue;
use core_foundation_sys::runloop::{
    CFRunLoopAddSource, CFRunLoopGetCurrent, CFRunLoopRemoveSource, CFRunLoopRunInMode,
    CFRunLoopSourceRef, CFRunLoopStop, kCFRunLoopDefaultMode,
};
use core_foundation_sys::string::{CFStringCreateWithBytes, CFStringRef, kCFStringEncodingUTF8};
use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::event::{Delay, Event, Events, Sensor, SensorError};
use super::event_loop::{Stop, run_on_thread};
use super::sleep_delay::hold;

const NAME: &str = "macOS session";
/// Between two polls of the session, in seconds.
const POLL: f64 = 2.0;
/// macOS waits for 30 s; a last heartbeat takes less than this.
const LIMIT: Duration = Duration::from_secs(5);

/// IOMessage.h
const CAN_SYSTEM_SLEEP: u32 = 0xe000_0270;
const SYSTEM_WILL_SLEEP: u32 = 0xe000_0280;
const SYSTEM_HAS_POWERED_ON: u32 = 0xe000_0300;

type PowerCallback =
    extern "C" fn(context: *mut c_void, service: u32, message: u32, argument: *mut c_void);

// IOKit/pwr_mgt/IOPMLib.h and IOKitLib.h
#[link(name = "IOKit", kind = "framework")]
unsafe extern "C" {
    fn IORegisterForSystemPower(
        context: *mut c_void,
        port: *mut *mut c_void,
        callback: PowerCallback,
        notifier: *mut u32,
    ) -> u32;
    fn IODeregisterForSystemPower(notifier: *mut u32) -> i32;
    fn IOAllowPowerChange(root: u32, notification: isize) -> i32;
    fn IONotificationPortGetRunLoopSource(port: *mut c_void) -> CFRunLoopSourceRef;
    fn IONotificationPortDestroy(port: *mut c_void);
    fn IOServiceClose(connection: u32) -> i32;
}

// CGSession.h
#[link(name = "CoreGraphics", kind = "framework")]
unsafe extern "C" {
    fn CGSessionCopyCurrentDictionary() -> CFDictionaryRef;
}

/// The user's session.
#[derive(Debug, Clone, Copy, Default)]
struct Session;

pub(super) fn sensors() -> Vec<Box<dyn Sensor>> {
    vec![Box::new(Session)]
}

impl Sensor for Session {
    fn name(&self) -> &'static str {
        NAME
    }

    fn listen(&self, events: Events) -> BoxFuture<'_, SensorError> {
        run_on_thread("session", move |stop| follow(&events, &stop)).boxed()
    }
}

/// What the power callback needs.
struct Listener {
    events: Events,
    root: u32,
}

thread_local! {
    static LISTENER: RefCell<Option<Listener>> = const { RefCell::new(None) };
}

fn follow(events: &Events, stop: &Stop) -> SensorError {
    let Some(power) = Power::register() else {
        return SensorError::NotAvailable { service: "IOKit's power management" };
    };
    let listener = Listener { events: events.clone(), root: power.root };
    LISTENER.with_borrow_mut(|place| *place = Some(listener));
    let notifications = Notifications::observe();
    let mut before = None;
    let outcome = loop {
        let Some(locked) = is_locked() else {
            break SensorError::NotAvailable { service: "a graphical session" };
        };
        let event = if locked { Event::Locked } else { Event::Unlocked };
        if before.replace(locked) != Some(locked) && events.blocking_send((NAME, event)).is_err() {
            break SensorError::Ended;
        }
        // SAFETY: the mode is a system constant; the run loop belongs to this thread.
        unsafe { CFRunLoopRunInMode(kCFRunLoopDefaultMode, POLL, 0) };
        if stop.is_requested() || events.is_closed() {
            break SensorError::Ended;
        }
    };
    drop(notifications);
    LISTENER.take();
    drop(power);
    outcome
}

/// A system string, released when dropped.
struct Text(CFStringRef);

impl Text {
    fn of(text: &str) -> Self {
        // SAFETY: the bytes are valid for the given length, and are copied.
        Self(unsafe {
            CFStringCreateWithBytes(
                kCFAllocatorDefault,
                text.as_ptr(),
                CFIndex::try_from(text.len()).unwrap_or_default(),
                kCFStringEncodingUTF8,
                0,
            )
        })
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: it was created here and is released once.
            unsafe { CFRelease(self.0.cast()) };
        }
    }
}

/// Whether the screen is locked; `None` without a graphical session, for example in an SSH login.
fn is_locked() -> Option<bool> {
    let key = Text::of("CGSSessionScreenIsLocked");
    // SAFETY: this function owns the dictionary until it releases it, and its value, a boolean,
    // lives until then.
    unsafe {
        let session = CGSessionCopyCurrentDictionary();
        if session.is_null() {
            return None;
        }
        let value = CFDictionaryGetValue(session, key.0.cast());
        let locked = !value.is_null() && CFBooleanGetValue(value.cast());
        CFRelease(session.cast());
        Some(locked)
    }
}

/// The observer of the distributed lock notifications.
struct Notifications;

/// Identifies the observer by its address.
static OBSERVER: u8 = 0;

impl Notifications {
    fn observe() -> Self {
        for name in ["com.apple.screenIsLocked", "com.apple.screenIsUnlocked"] {
            let name = Text::of(name);
            // SAFETY: the callback lives as long as the process and takes nothing from its
            // arguments; the observer is only compared.
            unsafe {
                CFNotificationCenterAddObserver(
                    CFNotificationCenterGetDistributedCenter(),
                    (&raw const OBSERVER).cast(),
                    poll_now,
                    name.0,
                    null(),
                    CFNotificationSuspensionBehaviorDeliverImmediately,
                );
            }
        }
        Self
    }
}

impl Drop for Notifications {
    fn drop(&mut self) {
        // SAFETY: the observer is the one that was added.
        unsafe {
            CFNotificationCenterRemoveEveryObserver(
                CFNotificationCenterGetDistributedCenter(),
                (&raw const OBSERVER).cast(),
            )
        };
    }
}

extern "C" fn poll_now(
    _: CFNotificationCenterRef,
    _: *mut c_void,
    _: CFNotificationName,
    _: *const c_void,
    _: CFDictionaryRef,
) {
    // It may arrive on any thread. The sensor's thread polls at once; another thread's loop
    // continues by itself.
    if LISTENER.with_borrow(Option::is_some) {
        // SAFETY: the loop is this thread's own.
        unsafe { CFRunLoopStop(CFRunLoopGetCurrent()) };
    }
}

/// The registration for power notifications.
struct Power {
    root: u32,
    port: *mut c_void,
    notifier: u32,
    source: CFRunLoopSourceRef,
}

impl Power {
    fn register() -> Option<Self> {
        let (mut port, mut notifier) = (null_mut(), 0);
        // SAFETY: both pointers are to locals; the callback lives as long as the process; the
        // source belongs to the port.
        unsafe {
            let root =
                IORegisterForSystemPower(null_mut(), &mut port, power_changed, &mut notifier);
            if root == 0 {
                return None;
            }
            let source = IONotificationPortGetRunLoopSource(port);
            CFRunLoopAddSource(CFRunLoopGetCurrent(), source, kCFRunLoopDefaultMode);
            Some(Self { root, port, notifier, source })
        }
    }
}

impl Drop for Power {
    fn drop(&mut self) {
        // SAFETY: this thread created them in `register`, and nothing uses them after this.
        unsafe {
            CFRunLoopRemoveSource(CFRunLoopGetCurrent(), self.source, kCFRunLoopDefaultMode);
            IODeregisterForSystemPower(&mut self.notifier);
            IOServiceClose(self.root);
            IONotificationPortDestroy(self.port);
        }
    }
}

extern "C" fn power_changed(_: *mut c_void, _: u32, message: u32, argument: *mut c_void) {
    LISTENER.with_borrow(|listener| {
        let Some(Listener { events, root }) = listener else { return };
        match message {
            SYSTEM_WILL_SLEEP => {
                let (hold, held) = hold();
                // Fails if the listener has gone.
                let _ = events.blocking_send((NAME, Event::Sleeps(Delay::new(hold))));
                held.wait(LIMIT);
            }
            SYSTEM_HAS_POWERED_ON => drop(events.blocking_send((NAME, Event::Wakes))),
            _ => {}
        }
        if matches!(message, CAN_SYSTEM_SLEEP | SYSTEM_WILL_SLEEP) {
            // SAFETY: the argument is the notification that has to be answered.
            unsafe { IOAllowPowerChange(*root, argument as isize) };
        }
    });
}
