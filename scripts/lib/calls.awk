# Prints "USE FILE PROGRAM" for each program that a source calls. `by` is the use; `shell` is set
# for shell scripts. mawk and busybox awk read it.

function call(program) {
    # From rustup, fetched by host.sh, built here, inside images, used only where it is there.
    if (program ~ /^(cargo|npm|node|rustc|rustup|docker|dockbridge|dockbridge-bench)$/) return
    if (program ~ /^(.*run_uhttpd|\/bin\/(sh|peer|echo))$/) return
    print by, FILENAME, program
}

# Programs of a declared list.
function named(list,    words, count, i) {
    count = split(list, words, /[ ,]+/)
    for (i = 1; i <= count; i++) if (words[i] != "") call(words[i])
}

# Programs that stand as literals behind `head`, which matches up to the opening quote.
function literals(text, head,    hit) {
    while (match(text, head "\"[a-z/][a-z0-9._/+-]*\"")) {
        hit = substr(text, RSTART, RLENGTH)
        text = substr(text, RSTART + RLENGTH)
        sub(/"$/, "", hit)
        sub(/.*"/, "", hit)
        call(hit)
    }
}

function rust(text) {
    literals(text, "Command::new\\( *")
    literals(text, "[.= (]command\\( *")
    literals(text, "[ (](run|feed)\\( *")
    literals(text, "[ (](run|feed)\\( *(\"[^\"]*\"|what), *")
    literals(text, "(tool|told|sum|packed)\\( *")
    literals(text, "foreign\\(site, ")
    while (match(text, /"(\/usr)?\/s?bin\/[a-z0-9._+-]+"/)) {
        call(substr(text, RSTART + 1, RLENGTH - 2))
        text = substr(text, RSTART + RLENGTH)
    }
}

# Words at the place of a command. Quoted text is no command, but what stands in $(...) is. A name
# with `_` is a function of ours.
function commands(line,    parts, words, count, i, j) {
    sub(/^[ \t]*#.*/, "", line)
    sub(/[ \t]#.*/, "", line)
    gsub(/'[^']*'/, "Q", line)
    gsub(/\$\(\([^)]*\)\)/, "N", line)
    gsub(/\$\(/, "\n", line)
    gsub(/"[^"\n]*"/, "Q", line)
    gsub(/&&|\|\||[;|(){}!]/, "\n", line)
    count = split(line, parts, "\n")
    for (i = 1; i <= count; i++) {
        split(parts[i], words, /[ \t]+/)
        for (j = 1; j in words; j++) {
            if (words[j] == "" || words[j] ~ /^[A-Za-z_]+=/) continue
            if (words[j] ~ /^(if|then|else|elif|do|while|until|exec|command)$/) continue
            if (words[j] ~ /^[a-z][a-z0-9.+-]*$/) found[++finds] = words[j]
            break
        }
    }
}

function flush(    i) {
    if (name == "") return
    file = FILENAME
    FILENAME = name
    if (!shell) rust(text)
    for (i = 1; i <= finds; i++) if (!(found[i] in builtin) && !(found[i] in own)) call(found[i])
    FILENAME = file
    text = ""
    finds = 0
    split("", own)
}

BEGIN {
    count = split("case cd continue done echo esac exit export fi for in printf pwd read return " \
        "mapfile set shift trap true wait kill need mirror there declare local unset", words, " ")
    for (i = 1; i <= count; i++) builtin[words[i]] = 1
}
FNR == 1 { flush(); name = FILENAME; inside = 0; kept = "" }
/^ *(#|\/\/) .*Host programs: / {
    listing = 1
    sub(/.*Host programs: /, "")
    named($0)
    next
}
# The list goes on in the next lines of the comment.
listing && /^ *(#|\/\/) [a-z][a-z0-9.+_ -]*$/ && !/\. |\.$/ {
    sub(/^ *(#|\/\/) /, "")
    named($0)
    next
}
{ listing = 0 }
shell {
    if ($0 ~ /^[a-z_]+\(\)/) {
        function_name = $0
        sub(/\(.*/, "", function_name)
        own[function_name] = 1
    }
    if ($0 ~ /\\$/) { kept = kept substr($0, 1, length($0) - 1) " "; next }
    commands(kept $0)
    kept = ""
    next
}
/^ *\/\// { next }
{ text = text " " $0 }
# The script that starts a machine runs on the host; the other scripts in Rust run on machines.
/const LAUNCH: &str = r#"/ { inside = 1; next }
inside && /^"#/ { inside = 0 }
inside { commands($0) }
END { flush() }
