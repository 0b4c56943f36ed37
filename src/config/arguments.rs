//! The command line: a flag for each setting, and the subcommands.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::error::ConfigError;
use super::given::{Given, Origin};
use super::settings::{SETTINGS, Setting, SettingForm};

/// What the program understands.
pub fn command() -> Command {
    Command::new("catchment")
        .version(env!("CARGO_PKG_VERSION"))
        .about("An aggregating push gateway for Prometheus")
        .after_help("Each flag can also be set in the environment (CATCHMENT_MAX_BODY=1MiB) or in the file (max-body = \"1MiB\").")
        .args_conflicts_with_subcommands(true)
        .subcommand(check_command())
        .subcommand(import_command())
        .arg(Arg::new("config").long("config").value_name("FILE").help("Configuration file (TOML)"))
        .arg(
            Arg::new("print-config")
                .long("print-config")
                .action(ArgAction::SetTrue)
                .help("Print the configuration and where each value comes from, and exit"),
        )
        .args(SETTINGS.iter().flat_map(flags))
}

/// `catchment check`.
pub fn check_command() -> Command {
    Command::new("check")
        .about("Check a configuration file and explain what its rules do")
        .arg(Arg::new("file").value_name("FILE").required(true).help("Configuration file (TOML)"))
        .arg(
            Arg::new("sample")
                .long("sample")
                .value_name("SAMPLE")
                .action(ArgAction::Append)
                .help("A series such as 'http_requests_total{code=\"500\"}', to be told which rule it meets; - for lines of standard input"),
        )
}

/// `catchment import-pushgateway`.
fn import_command() -> Command {
    Command::new("import-pushgateway")
        .about("Hand the file in which a Pushgateway keeps its groups to a running Catchment")
        .after_help(
            "The server needs --web.enable-admin-api. (With --persistence.file it reads such a file at its start.)",
        )
        .arg(Arg::new("file").value_name("FILE").required(true).help("The Pushgateway's --persistence.file"))
        .arg(
            Arg::new("to")
                .long("to")
                .value_name("URL")
                .default_value("http://127.0.0.1:9091")
                .help("Where Catchment listens"),
        )
        .arg(Arg::new("user").long("user").value_name("NAME:PASSWORD").help("A user that may push there (--push-user)"))
}

/// What is to be handed over, and to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRequest {
    /// The Pushgateway's file.
    pub file: String,
    /// The server's address.
    pub to: String,
    /// Name and password with a colon between them.
    pub user: Option<String>,
}

impl ImportRequest {
    /// Reads the program's arguments (its name first), if `import-pushgateway` is their first word.
    ///
    /// # Errors
    /// They are not those of the subcommand.
    pub fn from_arguments(arguments: &[OsString]) -> Option<Result<Self, ConfigError>> {
        let is_asked = |arguments: &&[OsString]| arguments.first().is_some_and(|word| word == "import-pushgateway");
        let arguments = arguments.get(1..).filter(is_asked)?;
        let command = import_command().bin_name("catchment import-pushgateway");
        Some(command.try_get_matches_from(arguments).map_err(ConfigError::from).map(|mut matches| Self {
            file: matches.remove_one("file").unwrap_or_default(),
            to: matches.remove_one("to").unwrap_or_default(),
            user: matches.remove_one("user"),
        }))
    }
}

fn flags(setting: &'static Setting) -> Vec<Arg> {
    let help = match setting.default {
        "" => setting.help.to_owned(),
        default => format!("{} [default: {default}]", setting.help),
    };
    let flag = Arg::new(setting.name).long(setting.name).value_name(setting.value).help(help);
    match setting.form {
        SettingForm::Value => vec![flag.action(ArgAction::Set)],
        SettingForm::List => vec![flag.action(ArgAction::Append)],
        SettingForm::Switch => {
            let negation = negation(setting);
            let negated = Arg::new(negation.clone()).long(negation).action(ArgAction::SetTrue).hide(true);
            let flag = flag.num_args(0..=1).require_equals(true).default_missing_value("true");
            vec![flag.conflicts_with(negated.get_id().clone()), negated]
        }
    }
}

/// The flag that turns a switch off.
fn negation(setting: &Setting) -> String {
    format!("no-{}", setting.name)
}

/// What the arguments say of a setting.
pub fn read_flag(matches: &ArgMatches, setting: &Setting) -> Option<(&'static str, Given)> {
    let is_negated = setting.form == SettingForm::Switch && matches.get_flag(&negation(setting));
    let texts = match matches.get_many::<String>(setting.name) {
        Some(texts) => texts.cloned().collect(),
        None if is_negated => vec!["false".to_owned()],
        None => return None,
    };
    Some((setting.name, Given { texts, origin: Origin::Flag }))
}
