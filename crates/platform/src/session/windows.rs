//! Windows: the lock of this session (WTSRegisterSessionNotification) and sleep
//! (RegisterSuspendResumeNotification), both as messages to a hidden window. Not every version
//! sends sleep messages to a message-only window, so it is an ordinary one.
//!
//! The window lives on one thread, so the state of its procedure is a thread-local.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ptr::null_mut;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use windows_sys::Win32::Foundation::{HWND, LPARAM, LRESULT, WPARAM};
use windows_sys::Win32::System::LibraryLoader::GetModuleHandleW;
use windows_sys::Win32::System::Power::{
    RegisterSuspendResumeNotification, UnregisterSuspendResumeNotification,
};
use windows_sys::Win32::System::RemoteDesktop::{
    NOTIFY_FOR_THIS_SESSION, WTS_CURRENT_SERVER_HANDLE, WTS_CURRENT_SESSION, WTS_SESSIONSTATE_LOCK,
    WTSFreeMemory, WTSINFOEXW, WTSQuerySessionInformationW, WTSRegisterSessionNotification,
    WTSSessionInfoEx, WTSUnRegisterSessionNotification,
};
use windows_sys::Win32::UI::WindowsAndMessaging::{
    CreateWindowExW, DEVICE_NOTIFY_WINDOW_HANDLE, DefWindowProcW, DestroyWindow, DispatchMessageW,
    GetMessageW, MSG, PBT_APMRESUMEAUTOMATIC, PBT_APMRESUMESUSPEND, PBT_APMSUSPEND,
    PostQuitMessage, RegisterClassExW, SetTimer, WM_POWERBROADCAST, WM_TIMER, WM_WTSSESSION_CHANGE,
    WNDCLASSEXW, WTS_SESSION_LOCK, WTS_SESSION_UNLOCK,
};
use windows_sys::core::w;

use super::event::{Delay, Event, Events, Sensor, SensorError};
use super::event_loop::{Stop, run_on_thread};
use super::sleep_delay::hold;

const NAME: &str = "Windows session";
/// Windows waits for a program for about two seconds before it sleeps.
const LIMIT: Duration = Duration::from_millis(1_800);
/// How often the thread checks whether it is still needed, in milliseconds.
const POLL: u32 = 1_000;

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
        run_on_thread("session", move |stop| follow(events, stop)).boxed()
    }
}

/// What the window procedure needs.
struct Listener {
    events: Events,
    stop: Stop,
    asleep: bool,
}

thread_local! {
    static LISTENER: RefCell<Option<Listener>> = const { RefCell::new(None) };
}

impl Listener {
    fn report(&self, event: Event) {
        // Fails if the listener has gone.
        let _ = self.events.blocking_send((NAME, event));
    }
}

fn follow(events: Events, stop: Stop) -> SensorError {
    let Some(window) = Window::create() else {
        return SensorError::NotAvailable { service: "a window station" };
    };
    let listener = Listener { events, stop, asleep: false };
    if let Some(locked) = is_locked() {
        listener.report(if locked { Event::Locked } else { Event::Unlocked });
    }
    LISTENER.with_borrow_mut(|place| *place = Some(listener));
    let mut message = MSG::default();
    // SAFETY: `message` is a local that outlives the loop; the window belongs to this thread.
    unsafe {
        while GetMessageW(&mut message, null_mut(), 0, 0) > 0 {
            DispatchMessageW(&message);
        }
    }
    LISTENER.take();
    drop(window);
    SensorError::Ended
}

/// A window that receives session and sleep messages.
struct Window {
    handle: HWND,
    power: isize,
}

impl Window {
    fn create() -> Option<Self> {
        let class = w!("dockbridge-session");
        // SAFETY: the class and its procedure live as long as the process; a class that is
        // registered already is reused; every handle is checked before use.
        unsafe {
            let instance = GetModuleHandleW(std::ptr::null());
            let description = WNDCLASSEXW {
                cbSize: u32::try_from(size_of::<WNDCLASSEXW>()).unwrap_or_default(),
                lpfnWndProc: Some(procedure),
                hInstance: instance,
                lpszClassName: class,
                ..WNDCLASSEXW::default()
            };
            RegisterClassExW(&description);
            let handle = CreateWindowExW(
                0,
                class,
                w!("dockbridge"),
                0,
                0,
                0,
                0,
                0,
                null_mut(),
                null_mut(),
                instance,
                std::ptr::null(),
            );
            if handle.is_null() {
                return None;
            }
            let power =
                RegisterSuspendResumeNotification(handle.cast(), DEVICE_NOTIFY_WINDOW_HANDLE);
            let window = Self { handle, power };
            (WTSRegisterSessionNotification(handle, NOTIFY_FOR_THIS_SESSION) != 0
                && SetTimer(handle, 1, POLL, None) != 0)
                .then_some(window)
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // SAFETY: this thread created them in `create`, and nothing uses them after this.
        unsafe {
            if self.power != 0 {
                UnregisterSuspendResumeNotification(self.power);
            }
            WTSUnRegisterSessionNotification(self.handle);
            DestroyWindow(self.handle);
        }
    }
}

/// Whether the session is locked; `None` if Windows does not say.
fn is_locked() -> Option<bool> {
    let (mut buffer, mut length) = (null_mut(), 0);
    // SAFETY: on success the buffer holds `length` bytes of the requested structure until it is
    // freed.
    unsafe {
        let asked = WTSQuerySessionInformationW(
            WTS_CURRENT_SERVER_HANDLE,
            WTS_CURRENT_SESSION,
            WTSSessionInfoEx,
            &mut buffer,
            &mut length,
        );
        if asked == 0 || buffer.is_null() {
            return None;
        }
        let whole = usize::try_from(length).is_ok_and(|length| length >= size_of::<WTSINFOEXW>());
        let flags = whole.then(|| {
            let info = buffer.cast::<WTSINFOEXW>().read_unaligned();
            (info.Level == 1).then_some(info.Data.WTSInfoExLevel1.SessionFlags)
        });
        WTSFreeMemory(buffer.cast());
        flags.flatten().map(|flags| flags.cast_unsigned() == WTS_SESSIONSTATE_LOCK)
    }
}

/// The window procedure. Sleep waits until it has answered a sleep message.
unsafe extern "system" fn procedure(
    window: HWND,
    message: u32,
    word: WPARAM,
    long: LPARAM,
) -> LRESULT {
    let kind = u32::try_from(word).unwrap_or_default();
    match message {
        WM_WTSSESSION_CHANGE => LISTENER.with_borrow(|listener| match (listener, kind) {
            (Some(listener), WTS_SESSION_LOCK) => listener.report(Event::Locked),
            (Some(listener), WTS_SESSION_UNLOCK) => listener.report(Event::Unlocked),
            _ => {}
        }),
        WM_POWERBROADCAST => LISTENER.with_borrow_mut(|listener| {
            if let Some(listener) = listener {
                power(listener, kind);
            }
        }),
        WM_TIMER => LISTENER.with_borrow(|listener| {
            if listener
                .as_ref()
                .is_some_and(|listener| listener.stop.is_requested() || listener.events.is_closed())
            {
                // SAFETY: it takes only a number.
                unsafe { PostQuitMessage(0) };
            }
        }),
        // SAFETY: the arguments are passed on unchanged.
        _ => return unsafe { DefWindowProcW(window, message, word, long) },
    }
    // WM_POWERBROADCAST requires TRUE; the other messages ignore the result.
    1
}

fn power(listener: &mut Listener, event: u32) {
    match event {
        // Windows may send it twice: as a broadcast, and because of the registration.
        PBT_APMSUSPEND if !listener.asleep => {
            listener.asleep = true;
            let (hold, held) = hold();
            listener.report(Event::Sleeps(Delay::new(hold)));
            held.wait(LIMIT);
        }
        PBT_APMRESUMEAUTOMATIC | PBT_APMRESUMESUSPEND if listener.asleep => {
            listener.asleep = false;
            listener.report(Event::Wakes);
        }
        _ => {}
    }
}
