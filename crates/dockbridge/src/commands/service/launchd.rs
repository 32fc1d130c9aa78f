//! macOS: a LaunchAgent that starts the daemon at login, as a property list. Pure. Not tested on
//! that system.

use super::recipe::Recipe;

/// The agent's name, which is also the file's.
pub fn label(profile: &str) -> String {
    format!("dockbridge.{profile}")
}

/// `KeepAlive` starts it again after a crash, and not after `dockbridge stop`.
pub fn plist(recipe: &Recipe) -> String {
    let words = [&recipe.program].into_iter().chain(&recipe.arguments);
    let words: String =
        words.map(|word| format!("    <string>{}</string>\n", escaped(word))).collect();
    let variables = recipe.environment.iter().map(|(name, value)| {
        format!("    <key>{}</key>\n    <string>{}</string>\n", escaped(name), escaped(value))
    });
    let variables: String = variables.collect();
    let (label, log) = (escaped(&label(&recipe.profile)), escaped(&recipe.log));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n\
         \x20 <key>Label</key>\n  <string>{label}</string>\n\
         \x20 <key>ProgramArguments</key>\n  <array>\n{words}  </array>\n\
         \x20 <key>EnvironmentVariables</key>\n  <dict>\n{variables}  </dict>\n\
         \x20 <key>RunAtLoad</key>\n  <true/>\n\
         \x20 <key>KeepAlive</key>\n\
         \x20 <dict>\n    <key>SuccessfulExit</key>\n    <false/>\n  </dict>\n\
         \x20 <key>ProcessType</key>\n  <string>Interactive</string>\n\
         \x20 <key>Umask</key>\n  <integer>63</integer>\n\
         \x20 <key>StandardOutPath</key>\n  <string>{log}</string>\n\
         \x20 <key>StandardErrorPath</key>\n  <string>{log}</string>\n\
         </dict>\n</plist>\n"
    )
}

/// A text in XML.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
