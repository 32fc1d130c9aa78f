use super::*;

fn text(code: &str) -> String {
    explained(&document(|word| word == code)).join("\n")
}

#[test]
fn code_of_an_error_is_explained() {
    insta::assert_snapshot!(text("token_invalid"), @r"
    token_invalid (error, cloud)
    The cloud rejects the API token.

    Cause         The token was deleted, belongs to another cloud, or was copied
                  incompletely.
    What to do    Make a token in the cloud's console and save it.
    Hint          the API token is not valid: make one in the cloud console and run
                  `dockbridge init`
    Trying again  helps only after something has changed
    ");
}

#[test]
fn code_of_an_error_and_a_warning_is_explained_as_both() {
    insta::assert_snapshot!(text("clock_wrong"), @r"
    clock_wrong (error, cloud)
    This computer's clock is wrong.

    Cause         Certificates and bills depend on the time.
    What to do    Set the clock.
    Hint          set the clock (`date` shows it, `timedatectl set-ntp true` sets it
                  by the network)
    Trying again  helps only after something has changed

    clock_wrong (warning, medium)
    This computer's clock is wrong.

    Cause         The cloud's answers have a time that differs by more than 5
                  minutes. Costs, months and ages are counted by this computer's
                  clock.
    What to do    Set the clock.
    ");
}

#[test]
fn code_of_a_warning_is_explained() {
    insta::assert_snapshot!(text("volume_nearly_full"), @r"
    volume_nearly_full (warning, medium)
    The volume is nearly full.

    Cause         Images, containers and volumes of the engine take 85 % of it or
                  more.
    What to do    Remove unused data, or grow the volume.
    Not shown     with volume_full
    ");
}

#[test]
fn each_code_is_listed_and_explained_in_80_columns() {
    let all = document(|_| true);
    let list = listed(&all);
    let words = Code::ALL.iter().map(|code| code.word());
    for word in words.chain(WarningCode::ALL.iter().map(|code| code.word())) {
        assert!(list.iter().any(|line| line.starts_with(&format!("  {word} "))), "{word}");
    }
    for line in list.into_iter().chain(explained(&all)) {
        assert!(line.chars().count() <= 80, "over 80 columns: {line}");
    }
}

#[test]
fn unknown_code_gets_the_nearest_ones() {
    insta::assert_snapshot!(unknown("volumefull").to_string(), @r#"
    Error: no error and no warning has the code "volumefull"
    Hint: did you mean volume_full?
    Hint: `dockbridge explain` lists all codes
    "#);
    insta::assert_snapshot!(unknown("xyz").to_string(), @r#"
    Error: no error and no warning has the code "xyz"
    Hint: `dockbridge explain` lists all codes
    "#);
}
