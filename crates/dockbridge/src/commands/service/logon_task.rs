//! Windows: a task that starts the daemon at logon, as the XML of the task scheduler. Pure. Not
//! tested on that system. A service of Windows would run in a session of its own, which sees
//! neither the user's screen lock nor the user's pipes.

use super::launchd::escaped;
use super::recipe::Recipe;

/// The task's name, which is also the file's.
pub fn name(profile: &str) -> String {
    format!("dockbridge-{profile}")
}

/// A task has no environment of its own: the user's variables hold.
pub fn xml(recipe: &Recipe) -> String {
    let words = recipe.arguments.iter().map(|word| quoted(word));
    let words: Vec<String> = words.chain(["--detach".to_owned()]).collect();
    let (program, words) = (escaped(&recipe.program), escaped(&words.join(" ")));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-16\"?>\n\
         <Task version=\"1.2\" xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\">\n\
         \x20 <Triggers>\n    <LogonTrigger>\n      <Enabled>true</Enabled>\n    </LogonTrigger>\n\
         \x20 </Triggers>\n\
         \x20 <Principals>\n    <Principal>\n\
         \x20     <LogonType>InteractiveToken</LogonType>\n\
         \x20     <RunLevel>LeastPrivilege</RunLevel>\n    </Principal>\n  </Principals>\n\
         \x20 <Settings>\n\
         \x20   <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>\n\
         \x20   <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>\n\
         \x20   <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>\n  </Settings>\n\
         \x20 <Actions>\n    <Exec>\n      <Command>{program}</Command>\n\
         \x20     <Arguments>{words}</Arguments>\n    </Exec>\n  </Actions>\n</Task>\n"
    )
}

/// The file's bytes: the task scheduler reads UTF-16 with a byte order mark.
pub fn encoded(xml: &str) -> Vec<u8> {
    format!("\u{feff}{xml}").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// One argument. No path of Windows has a quote in it.
fn quoted(word: &str) -> String {
    if word.contains(' ') { format!("\"{word}\"") } else { word.to_owned() }
}
