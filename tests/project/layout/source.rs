//! The structure of a source file, without its tests.

use std::fs;
use std::path::{Path, PathBuf};

use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Attribute, GenericArgument, Item, PathArguments, UseTree};

/// A `use`: the path, the name that it defines here, and whether it re-exports the name.
pub(super) struct Use {
    pub path: Vec<String>,
    pub name: String,
    pub is_public: bool,
}

pub(super) struct Source {
    /// Relative to `src`.
    pub path: PathBuf,
    /// `["pool", "select"]`; empty for the root of the library.
    pub module: Vec<String>,
    pub lines: usize,
    /// The names of the items that the file defines.
    pub items: Vec<String>,
    pub uses: Vec<Use>,
    /// Paths of two segments and more outside of `use`.
    pub paths: Vec<Vec<String>>,
    pub macros: Vec<String>,
    /// The text without comments.
    pub code: String,
    /// Its modules that are only for tests.
    test_modules: Vec<Vec<String>>,
    file: syn::File,
}

/// The files below a directory, without those that are only for tests.
pub(super) fn below(src: &Path) -> Vec<Source> {
    let inside = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        Source::parse(path.strip_prefix(src).unwrap(), &text)
    };
    let is_rust = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "rs");
    let mut sources: Vec<_> = files(src).iter().filter(|path| is_rust(path)).map(inside).collect();
    let test_modules: Vec<_> = sources.iter().flat_map(|source| source.test_modules.clone()).collect();
    sources.retain(|source| !test_modules.iter().any(|module| source.module.starts_with(module)));
    sources
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

impl Source {
    pub(super) fn parse(path: &Path, text: &str) -> Self {
        let mut file = syn::parse_file(text).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        let (test_modules, items) =
            file.items.into_iter().partition(|item| attributes(item).iter().any(is_cfg_test));
        file.items = items;
        let stem = path.with_extension("");
        let module: Vec<_> = stem.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        let module = if module == ["lib"] { Vec::new() } else { module };
        let code: Vec<_> = text.lines().map(|line| line.split("//").next().unwrap()).collect();
        let mut source = Self {
            path: path.to_owned(),
            module: module.clone(),
            lines: text.lines().count(),
            items: file.items.iter().filter_map(name).collect(),
            uses: Vec::new(),
            paths: Vec::new(),
            macros: Vec::new(),
            code: code.join("\n"),
            test_modules: modules(&module, &test_modules),
            file: syn::File { shebang: None, attrs: Vec::new(), items: Vec::new() },
        };
        source.visit_file(&file);
        source.file = file;
        source
    }

    /// The top-level modules that it names.
    pub(super) fn named_modules(&self) -> Vec<String> {
        let of_crate =
            |path: &Vec<String>| path.first().filter(|first| *first == "crate").and(path.get(1)).cloned();
        let uses = self.uses.iter().map(|one| &one.path);
        uses.chain(&self.paths)
            .filter_map(of_crate)
            .filter(|name| name.starts_with(char::is_lowercase))
            .collect()
    }

    /// The names of types that are aliases of a result.
    pub(super) fn result_aliases(&self) -> Vec<String> {
        let alias = |item: &Item| match item {
            Item::Type(alias) if is_result(&alias.ty, &[]) => Some(alias.ident.to_string()),
            _ => None,
        };
        self.file.items.iter().filter_map(alias).collect()
    }

    /// The locations of results within results.
    pub(super) fn nested_results(&self, aliases: &[String]) -> Vec<String> {
        let mut found = Nested { aliases, depth: 0, lines: Vec::new() };
        found.visit_file(&self.file);
        found.lines.iter().map(|line| format!("{}:{line}", self.path.display())).collect()
    }

    /// Every function with its number of lines.
    pub(super) fn functions(&self) -> Vec<(String, usize)> {
        let mut found = Functions(Vec::new());
        found.visit_file(&self.file);
        found.0
    }

    fn add_uses(&mut self, tree: &UseTree, prefix: &[String], is_public: bool) {
        let with = |name: &str| prefix.iter().cloned().chain([name.to_owned()]).collect::<Vec<_>>();
        match tree {
            UseTree::Path(path) => self.add_uses(&path.tree, &with(&path.ident.to_string()), is_public),
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.add_uses(tree, prefix, is_public));
            }
            UseTree::Name(name) if name.ident == "self" => {
                let name = prefix.last().cloned().unwrap_or_default();
                self.uses.push(Use { path: prefix.to_vec(), name, is_public });
            }
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                self.uses.push(Use { path: with(&name), name, is_public });
            }
            UseTree::Rename(rename) => {
                let path = with(&rename.ident.to_string());
                self.uses.push(Use { path, name: rename.rename.to_string(), is_public });
            }
            // Only tests use glob imports.
            UseTree::Glob(_) => {}
        }
    }
}

impl<'ast> Visit<'ast> for Source {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let is_public = !matches!(item.vis, syn::Visibility::Inherited);
        self.add_uses(&item.tree, &[], is_public);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.macros.extend(called.path.segments.last().map(|segment| segment.ident.to_string()));
        visit::visit_macro(self, called);
    }
}

struct Nested<'a> {
    aliases: &'a [String],
    depth: usize,
    lines: Vec<usize>,
}

impl<'ast> Visit<'ast> for Nested<'_> {
    fn visit_type_path(&mut self, path: &'ast syn::TypePath) {
        let is_result = is_result(&syn::Type::Path(path.clone()), self.aliases);
        if is_result && self.depth > 0 {
            self.lines.push(path.span().start().line);
        }
        self.depth += usize::from(is_result);
        // The error of a result may be anything. Only the value is checked.
        for segment in &path.path.segments {
            if let PathArguments::AngleBracketed(arguments) = &segment.arguments {
                let most = if is_result { 1 } else { usize::MAX };
                let types = arguments.args.iter().take(most).filter_map(|argument| match argument {
                    GenericArgument::Type(inner) => Some(inner),
                    _ => None,
                });
                types.for_each(|inner| self.visit_type(inner));
            }
        }
        self.depth -= usize::from(is_result);
    }
}

fn is_result(ty: &syn::Type, aliases: &[String]) -> bool {
    let syn::Type::Path(path) = ty else { return false };
    let last = path.path.segments.last().map(|segment| segment.ident.to_string());
    last.is_some_and(|last| last == "Result" || aliases.contains(&last))
}

struct Functions(Vec<(String, usize)>);

impl Functions {
    fn add(&mut self, name: &syn::Ident, signature: &syn::Signature, block: &syn::Block) {
        let lines = block.span().end().line - signature.span().start().line + 1;
        self.0.push((name.to_string(), lines));
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.add(&function.sig.ident, &function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.add(&function.sig.ident, &function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }
}

fn is_cfg_test(attribute: &Attribute) -> bool {
    let is_test = |list: &syn::MetaList| list.tokens.to_string() == "test";
    attribute.path().is_ident("cfg") && attribute.meta.require_list().is_ok_and(is_test)
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// The modules among these items, with the path of the module above them.
fn modules(above: &[String], items: &[Item]) -> Vec<Vec<String>> {
    let below = |item: &Item| match item {
        Item::Mod(module) => Some(above.iter().cloned().chain([module.ident.to_string()]).collect()),
        _ => None,
    };
    items.iter().filter_map(below).collect()
}

fn name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        _ => return None,
    };
    Some(name.to_string())
}
