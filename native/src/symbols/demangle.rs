//! Names as their authors wrote them: C++, Rust, and the module procedures of Fortran compilers.
use cpp_demangle::{DemangleOptions, ParseOptions, Symbol};

/// C++ names of template-heavy code run to many KiB; what is beyond says nothing to a reader.
const LONGEST_NAME: usize = 1024;
const LONGEST_MANGLED: usize = 8192;

pub fn demangle(mangled: &str) -> String {
    let plain = mangled.split_once('@').map_or(mangled, |(name, _version)| name);
    let mut name = rust(plain).or_else(|| cpp(plain)).or_else(|| fortran(plain)).unwrap_or_else(|| plain.to_string());
    if name.len() > LONGEST_NAME {
        let end = (0..=LONGEST_NAME).rev().find(|&at| name.is_char_boundary(at)).unwrap_or(0);
        name.truncate(end);
        name.push('…');
    }
    name
}

fn rust(name: &str) -> Option<String> {
    rustc_demangle::try_demangle(name).ok().map(|demangled| format!("{demangled:#}"))
}

/// GCC's clones (.constprop.0, .part.1, .cold, ._omp_fn.0) are parts of the function whose name they carry on.
fn cpp(name: &str) -> Option<String> {
    if !(name.starts_with("_Z") || name.starts_with("___Z")) || name.len() > LONGEST_MANGLED {
        return None;
    }
    let (stem, clone) = name.split_once('.').map_or((name, ""), |(stem, clone)| (stem, clone));
    let options = ParseOptions::default().recursion_limit(96);
    let symbol = Symbol::new_with_options(stem, &options).ok()?;
    let text = symbol.demangle_with_options(&DemangleOptions::new().no_params().no_return_type()).ok()?;
    Some(if clone.is_empty() { text } else { format!("{text}.{clone}") })
}

/// gfortran: __module_MOD_procedure; Intel and the new Flang write other marks between module and procedure.
fn fortran(name: &str) -> Option<String> {
    if let Some((module, procedure)) = name.strip_prefix("__").and_then(|rest| rest.split_once("_MOD_")) {
        return Some(format!("{module}::{procedure}"));
    }
    if let Some((module, procedure)) = name.strip_prefix("_QM").and_then(|rest| rest.split_once('P')) {
        return Some(format!("{module}::{procedure}"));
    }
    let (module, procedure) = name.strip_suffix('_')?.split_once("_mp_")?;
    Some(format!("{module}::{procedure}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speaks_the_languages() {
        for (mangled, name) in [
            ("main", "main"),
            ("_ZN4Mesh5solveEid", "Mesh::solve"),
            ("_ZNSt6vectorIdSaIdEE9push_backERKd", "std::vector<double, std::allocator<double> >::push_back"),
            ("_Z5solvePd._omp_fn.0", "solve._omp_fn.0"),
            ("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad"),
            ("_RNvC6_123foo3bar", "123foo::bar"),
            ("__heat_MOD_step", "heat::step"),
            ("heat_mp_step_", "heat::step"),
            ("_QMheatPstep", "heat::step"),
            ("dgemm_", "dgemm_"),
            ("memcpy@@GLIBC_2.14", "memcpy"),
            ("_ZN_not_mangled", "_ZN_not_mangled"),
        ] {
            assert_eq!(demangle(mangled), name);
        }
    }

    #[test]
    fn hostile_names_end() {
        demangle(&format!("_Z{}", "N".repeat(100_000)));
        demangle(&format!("_ZN{}E", "S_".repeat(4000)));
        demangle(&format!("_Z1f{}", "PFv".repeat(2000)));
        assert!(demangle(&"é".repeat(3000)).len() < 1100);
    }
}
