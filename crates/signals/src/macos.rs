//! macOS: the lock, as the window server's description of our person's session tells it, and sleep,
//! by IOKit's notifications of the system's power.
//!
//! The distributed notifications of the lock say when to look; they may come to the main thread's
//! loop only, so the session is looked at every two seconds, too. Everything happens on one thread
//! with a run loop of its own, which is why what its callbacks have to know lies in a thread-local.

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
use tokio::sync::mpsc;

use crate::following::{Over, on_a_thread};
use crate::hold::hold;
use crate::{Delay, Sensor, SensorError, Signal};

const NAME: &str = "macOS session";
/// Between two looks at the session, in seconds.
const LOOK: f64 = 2.0;
/// macOS waits for 30 s; a last sign of life takes less than this.
const PATIENCE: Duration = Duration::from_secs(5);

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

/// The session of our person.
#[derive(Debug, Clone, Copy, Default)]
pub struct Session;

impl Sensor for Session {
    fn name(&self) -> &'static str {
        NAME
    }

    fn listen(&self, told: mpsc::Sender<(&'static str, Signal)>) -> BoxFuture<'_, SensorError> {
        on_a_thread("signals", move |over| follow(&told, &over)).boxed()
    }
}

/// What the callback of the power has to know.
struct Listener {
    told: mpsc::Sender<(&'static str, Signal)>,
    root: u32,
}

thread_local! {
    static LISTENER: RefCell<Option<Listener>> = const { RefCell::new(None) };
}

fn follow(told: &mpsc::Sender<(&'static str, Signal)>, over: &Over) -> SensorError {
    let Some(power) = Power::register() else {
        return SensorError::NotThere { service: "IOKit's power management" };
    };
    LISTENER
        .with_borrow_mut(|place| *place = Some(Listener { told: told.clone(), root: power.root }));
    let notices = Notices::observe();
    let mut before = None;
    let outcome = loop {
        let Some(locked) = is_locked() else {
            break SensorError::NotThere {
                service: "a graphical \
            session",
            };
        };
        if before.replace(locked) != Some(locked)
            && told
                .blocking_send((NAME, if locked { Signal::Locked } else { Signal::Unlocked }))
                .is_err()
        {
            break SensorError::Ended;
        }
        // SAFETY: the mode is a constant of the system; the loop is this thread's own.
        unsafe { CFRunLoopRunInMode(kCFRunLoopDefaultMode, LOOK, 0) };
        if over.is_over() || told.is_closed() {
            break SensorError::Ended;
        }
    };
    drop(notices);
    LISTENER.take();
    drop(power);
    outcome
}

/// A string of the system's; given back with its end.
struct Text(CFStringRef);

impl Text {
    fn of(text: &str) -> Self {
        // SAFETY: the bytes are valid for the length that is told, and are copied.
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

/// How things stand; `None` without a graphical session, as in a login by SSH.
fn is_locked() -> Option<bool> {
    let key = Text::of("CGSSessionScreenIsLocked");
    // SAFETY: the dictionary is ours until it is released, and its value, a boolean, lives as long.
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

/// The distributed notifications of the lock.
struct Notices;

/// By which our observer is known: an address of our own.
static OBSERVER: u8 = 0;

impl Notices {
    fn observe() -> Self {
        for name in ["com.apple.screenIsLocked", "com.apple.screenIsUnlocked"] {
            let name = Text::of(name);
            // SAFETY: the callback lives as long as the process and takes nothing from its
            // arguments; the observer is only compared.
            unsafe {
                CFNotificationCenterAddObserver(
                    CFNotificationCenterGetDistributedCenter(),
                    (&raw const OBSERVER).cast(),
                    look_now,
                    name.0,
                    null(),
                    CFNotificationSuspensionBehaviorDeliverImmediately,
                );
            }
        }
        Self
    }
}

impl Drop for Notices {
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

extern "C" fn look_now(
    _: CFNotificationCenterRef,
    _: *mut c_void,
    _: CFNotificationName,
    _: *const c_void,
    _: CFDictionaryRef,
) {
    // On whichever thread it comes: ours looks at once, another one's loop runs on by itself.
    if LISTENER.with_borrow(Option::is_some) {
        // SAFETY: the loop is this thread's own.
        unsafe { CFRunLoopStop(CFRunLoopGetCurrent()) };
    }
}

/// The registration for the system's power.
struct Power {
    root: u32,
    port: *mut c_void,
    notifier: u32,
    source: CFRunLoopSourceRef,
}

impl Power {
    fn register() -> Option<Self> {
        let (mut port, mut notifier) = (null_mut(), 0);
        // SAFETY: both places are ours; the callback lives as long as the process; the source
        // belongs to the port.
        unsafe {
            let root = IORegisterForSystemPower(null_mut(), &mut port, changes, &mut notifier);
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
        // SAFETY: made by this thread in `register`, and used nowhere after this.
        unsafe {
            CFRunLoopRemoveSource(CFRunLoopGetCurrent(), self.source, kCFRunLoopDefaultMode);
            IODeregisterForSystemPower(&mut self.notifier);
            IOServiceClose(self.root);
            IONotificationPortDestroy(self.port);
        }
    }
}

extern "C" fn changes(_: *mut c_void, _: u32, message: u32, argument: *mut c_void) {
    LISTENER.with_borrow(|listener| {
        let Some(Listener { told, root }) = listener else { return };
        match message {
            SYSTEM_WILL_SLEEP => {
                let (hold, held) = hold();
                // Whoever listened may have gone.
                let _ = told.blocking_send((NAME, Signal::Sleeps(Delay::of(hold))));
                held.until_over(PATIENCE);
            }
            SYSTEM_HAS_POWERED_ON => drop(told.blocking_send((NAME, Signal::Wakes))),
            _ => {}
        }
        if matches!(message, CAN_SYSTEM_SLEEP | SYSTEM_WILL_SLEEP) {
            // SAFETY: the argument is the notification that has to be answered.
            unsafe { IOAllowPowerChange(*root, argument as isize) };
        }
    });
}
