//! Collects settings as text from flags, environment, file, preset and defaults, in that order of rank, and remembers where
//! each came from. What the texts mean is decided in `config`.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::aliases::{read_host, read_variable, rewrite, value_of_flag};
use super::arguments::{command, read_flag};
use super::file::ConfigFile;
use super::presets::{PRESETS, Preset};
use super::settings::{SETTINGS, Setting, SettingForm, setting_of_variable};

pub use super::error::ConfigError;
pub use super::given::{Given, Origin};

/// All settings as text, each known with its origin. Not `Debug`: some are secrets.
#[derive(Clone)]
pub struct Layers {
    given: BTreeMap<&'static str, Given>,
    /// The configuration file, if there is one.
    pub file: Option<ConfigFile>,
    /// Lines about what is accepted but does nothing; for the log.
    pub warnings: Vec<String>,
    /// Whether only the configuration is to be printed.
    pub is_print_only: bool,
}

const ENVIRONMENT_PREFIX: &str = "CATCHMENT_";

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

impl Layers {
    /// Reads arguments (the program's name first) and environment, and the file that either of them names.
    ///
    /// # Errors
    /// A wrong flag, an unknown name anywhere, or an unreadable file.
    pub fn collect(
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let variables: Vec<(String, String)> = environment.into_iter().collect();
        let environment = read_environment(&variables)?;
        let path = value_of_flag(&arguments, "config").or(environment.file);
        // Help is given without it; whether it can be read is looked at behind that.
        let file = path.map(|path| ConfigFile::read(&path)).transpose();
        let preset = chosen_preset(&arguments, &environment.named, file.as_ref().ok().and_then(Option::as_ref))?;
        let rewritten = rewrite(arguments, preset)?;
        let matches = command().try_get_matches_from(rewritten.arguments)?;
        let file = file?;

        let mut given: BTreeMap<&'static str, Given> = SETTINGS.iter().map(default_of).collect();
        given.extend(preset.settings.iter().map(|(name, text)| {
            (*name, Given { texts: vec![(*text).to_owned()], origin: Origin::Preset(preset.name) })
        }));
        given.extend(file.iter().flat_map(ConfigFile::given));
        for (variable, text) in &variables {
            given.extend(read_variable(preset, variable, text)?);
        }
        for (variable, text) in &variables {
            let so_far = |setting| given.get(setting).and_then(|given| given.texts.first().cloned());
            given.extend(read_host(preset, variable, text, so_far));
        }
        given.extend(environment.named);
        given.extend(SETTINGS.iter().filter_map(|setting| read_flag(&matches, setting)));
        Ok(Self { given, file, warnings: rewritten.warnings, is_print_only: matches.get_flag("print-config") })
    }

    /// A setting of the table.
    pub fn get(&self, name: &'static str) -> Given {
        self.given.get(name).cloned().unwrap_or(Given { texts: Vec::new(), origin: Origin::Default })
    }

    /// Every setting by name; secrets are hidden.
    pub fn shown(&self) -> BTreeMap<String, String> {
        let shown = |setting: &Setting| shown_texts(setting, &self.get(setting.name)).join(", ");
        SETTINGS.iter().map(|setting| (setting.name.to_owned(), shown(setting))).collect()
    }

    /// Every setting and where it came from, and the rules, as a configuration file. Secrets are hidden.
    pub fn print(&self) -> String {
        let mut printed: String =
            SETTINGS.iter().map(|setting| print_setting(setting, &self.get(setting.name))).collect();
        printed.extend(self.file.as_ref().map(ConfigFile::print_rules));
        printed
    }
}

fn shown_texts(setting: &Setting, given: &Given) -> Vec<String> {
    let shown = |text: &String| if setting.is_secret { HIDDEN.to_owned() } else { text.clone() };
    given.texts.iter().map(shown).collect()
}

fn print_setting(setting: &Setting, given: &Given) -> String {
    let texts: Vec<String> =
        shown_texts(setting, given).into_iter().map(|text| toml::Value::from(text).to_string()).collect();
    match (setting.form, texts.is_empty()) {
        (_, true) => format!("# {} is not set\n", setting.name),
        (SettingForm::List, false) => format!("{} = [{}]  # {}\n", setting.name, texts.join(", "), given.origin),
        (_, false) => format!("{} = {}  # {}\n", setting.name, texts.concat(), given.origin),
    }
}

fn default_of(setting: &Setting) -> (&'static str, Given) {
    let texts = if setting.default.is_empty() { Vec::new() } else { vec![setting.default.to_owned()] };
    (setting.name, Given { texts, origin: Origin::Default })
}

/// The preset decides which aliases the arguments may have, so it is looked for before they are parsed.
fn chosen_preset(
    arguments: &[OsString],
    environment: &Named,
    file: Option<&ConfigFile>,
) -> Result<&'static Preset, ConfigError> {
    let of_flag = || {
        let texts = vec![value_of_flag(arguments, "preset")?];
        Some(Given { texts, origin: Origin::Flag })
    };
    let of_environment = || environment.iter().find(|(name, _)| *name == "preset").map(|(_, given)| given.clone());
    let of_file = || file?.given().find(|(name, _)| *name == "preset").map(|(_, given)| given);
    let Some(given) = of_flag().or_else(of_environment).or_else(of_file) else {
        return Ok(&PRESETS[0]);
    };
    let name = given.texts.join(", ");
    Preset::by_name(&name).ok_or_else(|| {
        let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        let expected = format!("one of {}", names.join(", "));
        ConfigError::Invalid { name: "preset".to_owned(), origin: given.origin, expected, got: name }
    })
}

type Named = Vec<(&'static str, Given)>;

/// What the environment says in our variables.
struct Environment {
    named: Named,
    /// The configuration file.
    file: Option<String>,
}

fn read_environment(variables: &[(String, String)]) -> Result<Environment, ConfigError> {
    let mut environment = Environment { named: Vec::new(), file: None };
    for (variable, text) in variables {
        let Some(name) = variable.strip_prefix(ENVIRONMENT_PREFIX) else {
            continue;
        };
        let name = name.to_ascii_lowercase();
        if name == "config" {
            environment.file = Some(text.clone());
            continue;
        }
        if is_service_link(&name) {
            continue;
        }
        let unknown = || ConfigError::Unknown { name: variable.clone(), origin: Origin::Environment };
        let setting = setting_of_variable(&name).ok_or_else(unknown)?;
        let texts = match setting.form {
            SettingForm::List => text.split(',').map(|item| item.trim().to_owned()).collect(),
            SettingForm::Value | SettingForm::Switch => vec![text.clone()],
        };
        environment.named.push((setting.name, Given { texts, origin: Origin::Environment }));
    }
    Ok(environment)
}

/// Kubernetes tells every pod where a service named `catchment` is, by variables that look like settings.
fn is_service_link(name: &str) -> bool {
    name == "port" || ["port_", "service_host", "service_port"].iter().any(|prefix| name.starts_with(prefix))
}
