//! Tools, resources and prompts from functions.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{
    Attribute, Error, Expr, ExprLit, FnArg, Ident, ItemFn, Lit, Meta, Pat, PatType, ReturnType,
    Type,
};

use crate::options::{Located, Settings};

/// What a function is made into.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Tool,
    Resource,
    Prompt,
}

impl Kind {
    /// The function that makes it, and the name of the one that is generated.
    fn constructor(self) -> Ident {
        let name = match self {
            Self::Tool => "tool",
            Self::Resource => "resource",
            Self::Prompt => "prompt",
        };
        Ident::new(name, Span::call_site())
    }

    /// What is built, and the handler's kind.
    fn types(self) -> (TokenStream, TokenStream) {
        match self {
            Self::Tool => (quote!(ToolDef), quote!(Tool)),
            Self::Resource => (quote!(ResourceDef), quote!(Resource)),
            Self::Prompt => (quote!(PromptDef), quote!(Prompt)),
        }
    }
}

/// The function without what is for this attribute alone, and what makes a tool, resource or prompt of it; or what is wrong.
pub(crate) fn expand(kind: Kind, options: TokenStream, function: TokenStream) -> TokenStream {
    let mut function: ItemFn = match syn::parse2(function.clone()) {
        Ok(function) => function,
        Err(error) => {
            let error = error.into_compile_error();
            return quote! { #error #function };
        }
    };
    let parameters = Parameters::take(&mut function);
    let offered = parameters.and_then(|parameters| offer(kind, options, &function, &parameters));
    let offered = offered.unwrap_or_else(Error::into_compile_error);
    quote! { #function #offered }
}

/// What a parameter is to its function.
enum Role {
    Cx,
    State,
    /// All arguments together.
    Args,
    /// One argument, and what is said of it.
    Argument(Vec<Attribute>),
}

struct Parameter {
    role: Role,
    name: Ident,
    ty: Type,
}

struct Parameters(Vec<Parameter>);

impl Parameters {
    /// The parameters, taken from the function together with the attributes that are for this macro alone.
    fn take(function: &mut ItemFn) -> Result<Self, Error> {
        let mut all = Vec::new();
        let mut faults: Option<Error> = None;
        let inputs = function.sig.inputs.iter_mut().enumerate();
        for parameter in inputs.map(|(number, input)| Parameter::take(number, input)) {
            match parameter {
                Ok(parameter) => all.push(parameter),
                Err(fault) => match &mut faults {
                    Some(faults) => faults.combine(fault),
                    None => faults = Some(fault),
                },
            }
        }
        if let Some(generic) = function.sig.generics.params.first() {
            return Err(Error::new_spanned(
                generic,
                "its types must be known: what is generic has no schema",
            ));
        }
        faults.map_or(Ok(Self(all)), Err)
    }

    /// Single arguments; none if one parameter is all of them.
    fn fields(&self) -> impl Iterator<Item = (&Parameter, &[Attribute])> {
        self.0.iter().filter_map(|parameter| match &parameter.role {
            Role::Argument(said) => Some((parameter, said.as_slice())),
            _ => None,
        })
    }

    fn all_args(&self) -> impl Iterator<Item = &Parameter> {
        let is_args = |parameter: &&Parameter| matches!(parameter.role, Role::Args);
        self.0.iter().filter(is_args)
    }
}

impl Parameter {
    fn take(number: usize, input: &mut FnArg) -> Result<Self, Error> {
        let PatType { attrs, pat, ty, .. } = match input {
            FnArg::Typed(typed) => typed,
            FnArg::Receiver(this) => {
                let message = "it must be a function: a method's object is `#[state]`";
                return Err(Error::new_spanned(this, message));
            }
        };
        if let Some(cfg) = attrs.iter().find(|attr| attr.path().is_ident("cfg")) {
            let message = "a parameter is there or is not: put `#[cfg]` on two functions";
            return Err(Error::new_spanned(cfg, message));
        }
        let is = |name: &'static str| move |attr: &mut Attribute| attr.path().is_ident(name);
        let state = attrs.extract_if(.., is("state")).last();
        let args = attrs.extract_if(.., is("args")).last();
        let for_field = |attr: &mut Attribute| {
            let field = ["doc", "serde", "schemars"];
            field.iter().any(|name| attr.path().is_ident(name))
        };
        let said: Vec<_> = attrs.extract_if(.., for_field).collect();
        let role = match (state, args) {
            (Some(_), Some(args)) => {
                let message = "it is either the state or the arguments";
                return Err(Error::new_spanned(args, message));
            }
            (Some(_), None) => Role::State,
            (None, Some(_)) => Role::Args,
            (None, None) if is_cx(ty) => Role::Cx,
            (None, None) => Role::Argument(said),
        };
        let name = match &**pat {
            Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() => {
                name.ident.clone()
            }
            // Nobody needs its name.
            _ if !matches!(role, Role::Argument(_)) => format_ident!("parameter{number}"),
            pattern => {
                let message = "an argument has a name here, not a pattern";
                return Err(Error::new_spanned(pattern, message));
            }
        };
        if let Type::Reference(reference) = &**ty {
            let message = "a handler owns what it is given: take it without `&` (a `String`, a `Vec`, a `Cx`)";
            return Err(Error::new_spanned(reference, message));
        }
        if let Type::ImplTrait(generic) = &**ty {
            let message = "its type must be known: what is generic has no schema";
            return Err(Error::new_spanned(generic, message));
        }
        let ty = (**ty).clone();
        Ok(Self { role, name, ty })
    }
}

/// Whether it is `Cx`, by whatever path.
fn is_cx(ty: &Type) -> bool {
    let ty = match ty {
        Type::Reference(reference) => &reference.elem,
        ty => ty,
    };
    match ty {
        Type::Path(path) => path
            .path
            .segments
            .last()
            .is_some_and(|last| last.ident == "Cx"),
        _ => false,
    }
}

/// The struct of the arguments, which has the function's name, and its one function.
fn offer(
    kind: Kind,
    options: TokenStream,
    function: &ItemFn,
    parameters: &Parameters,
) -> Result<TokenStream, Error> {
    let all_args: Vec<_> = parameters.all_args().collect();
    if let [_, second, ..] = all_args[..] {
        let message = "only one parameter can be all arguments together";
        return Err(Error::new_spanned(&second.ty, message));
    }
    if let (Some(_), Some((other, _))) = (all_args.first(), parameters.fields().next()) {
        let message = "all arguments are in the parameter marked `#[args]`: mark this one `#[state]`, or let it be one of its fields";
        return Err(Error::new_spanned(&other.name, message));
    }
    let is_cx = |parameter: &&Parameter| matches!(parameter.role, Role::Cx);
    if let Some(second) = parameters.0.iter().filter(is_cx).nth(1) {
        let message = "a request has one `Cx`: take it once, and clone it";
        return Err(Error::new_spanned(&second.ty, message));
    }
    let (vis, name) = (&function.vis, &function.sig.ident);
    let cfgs: Vec<_> = function
        .attrs
        .iter()
        .filter(|attr| attr.path().is_ident("cfg"))
        .collect();
    let fields = parameters
        .fields()
        .map(|(Parameter { name, ty, .. }, said)| {
            quote! { #(#said)* #name: #ty }
        });
    let constructor = kind.constructor();
    let built = built(kind, options, function, parameters)?;
    let (def, _) = kind.types();
    let states = parameters
        .0
        .iter()
        .enumerate()
        .filter(|(_, p)| matches!(p.role, Role::State));
    let states = states.map(|(number, Parameter { ty, .. })| {
        let state = local(number);
        quote! { #state: #ty }
    });
    Ok(quote! {
        // In the namespace of types, where the function is not.
        #(#cfgs)*
        #[doc(hidden)]
        #[allow(non_camel_case_types, missing_debug_implementations, clippy::allow_attributes, clippy::allow_attributes_without_reason)]
        #[derive(::mcp_server::serde::Deserialize, ::mcp_server::schemars::JsonSchema)]
        #[serde(crate = "::mcp_server::serde")]
        #[schemars(crate = "::mcp_server::schemars")]
        #vis struct #name {
            #(#fields,)*
        }

        #(#cfgs)*
        impl #name {
            #vis fn #constructor(#(#states),*) -> ::mcp_server::#def {
                #built
            }
        }
    })
}

/// The name of a parameter where no name of the program's can be in its way.
fn local(number: usize) -> Ident {
    Ident::new(&format!("parameter{number}"), Span::mixed_site())
}

/// What the generated function does.
fn built(
    kind: Kind,
    options: TokenStream,
    function: &ItemFn,
    parameters: &Parameters,
) -> Result<TokenStream, Error> {
    let function_name = &function.sig.ident;
    let plain_name = function_name.unraw().to_string();
    let constructor = kind.constructor();
    let (_, handled) = kind.types();
    let (first, settings) = match kind {
        Kind::Resource => {
            if options.is_empty() {
                let message = "a resource has a URI: `#[resource(\"weather://{city}\")]`";
                return Err(Error::new(Span::call_site(), message));
            }
            let Located { uri, settings } = syn::parse2(options)?;
            (quote!(#uri), quote!(.name(#plain_name) #settings))
        }
        Kind::Tool | Kind::Prompt => {
            let mut settings: Settings = syn::parse2(options)?;
            let name = settings.take("name").unwrap_or_else(|| quote!(#plain_name));
            (name, quote!(#settings))
        }
    };
    let described = documentation(&function.attrs).map(|text| quote!(.describe(#text)));
    let returned = match (&function.sig.output, function.sig.asyncness) {
        // Of a function that is not `async`, it may be a future of that. What says `impl` has no name that could be said twice.
        (ReturnType::Type(_, ty), Some(_)) if !says_impl(ty.to_token_stream()) => Some(ty),
        _ => None,
    };
    let returned = returned.map(|ty| {
        quote_spanned! { ty.span() =>
            const _: fn() = || {
                fn returned<T: ::mcp_server::IntoOutput<::mcp_server::kind::#handled>>() {}
                returned::<#ty>();
            };
        }
    });
    let handler = handler(function, parameters);
    let made = quote_spanned! { function_name.span() =>
        ::mcp_server::#constructor(#first, #handler)
    };
    Ok(quote! { #returned #made #described #settings })
}

/// Whether an `impl Trait` stands anywhere in a type.
fn says_impl(ty: TokenStream) -> bool {
    ty.into_iter().any(|token| match token {
        TokenTree::Ident(word) => word == "impl",
        TokenTree::Group(group) => says_impl(group.stream()),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

/// The closure that takes the arguments apart and calls the function.
fn handler(function: &ItemFn, parameters: &Parameters) -> TokenStream {
    let (mut taken, mut given) = (Vec::new(), Vec::new());
    let args = Ident::new("args", Span::mixed_site());
    let mut cx = None;
    for (number, Parameter { role, name, ty }) in parameters.0.iter().enumerate() {
        let local = local(number);
        given.push(match role {
            Role::Cx => {
                cx = Some(quote!(#local: #ty));
                quote!(#local)
            }
            Role::State => quote!(::core::clone::Clone::clone(&#local)),
            Role::Args => {
                taken.push(quote!(#local: #ty));
                quote!(#local)
            }
            Role::Argument(_) => quote!(#args.#name),
        });
    }
    if parameters.fields().next().is_some() {
        taken.push(quote!(#args: Self));
    }
    let taken = cx.into_iter().chain(taken);
    let name = &function.sig.ident;
    if function.sig.asyncness.is_none() {
        return quote! { move |#(#taken),*| #name(#(#given),*) };
    }
    // No name that the function has itself.
    let is_send = format_ident!("{name}_is_send");
    // Said of the future itself, it is what lives across which `.await` that is at fault.
    quote_spanned! { name.span() =>
        {
            fn #is_send<F: ::core::marker::Send>(future: F) -> F {
                future
            }
            move |#(#taken),*| #is_send(#name(#(#given),*))
        }
    }
}

/// What is documented, without the space that each line begins with.
fn documentation(attributes: &[Attribute]) -> Option<TokenStream> {
    let line = |attr: &Attribute| match &attr.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => Some(match &pair.value {
            Expr::Lit(ExprLit {
                lit: Lit::Str(line),
                ..
            }) => {
                let line = line.value();
                Ok(line.strip_prefix(' ').unwrap_or(&line).to_owned())
            }
            // `include_str!`, say: what it stands for is known later.
            expression => Err(quote!(#expression)),
        }),
        _ => None,
    };
    let lines: Vec<Result<String, TokenStream>> = attributes.iter().filter_map(line).collect();
    let written: Result<Vec<&str>, _> = lines.iter().map(|line| line.as_deref()).collect();
    if let Ok(written) = written {
        let text = written.join("\n").trim().to_owned();
        return (!text.is_empty()).then(|| quote!(#text));
    }
    let lines = lines.iter().map(|line| match line {
        Ok(text) => quote!(#text),
        Err(expression) => expression.clone(),
    });
    Some(quote!(::core::concat!(#(#lines, "\n"),*).trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said about a function that cannot be what it is meant to be.
    fn fault(kind: Kind, options: &str, function: &str) -> String {
        let tokens = |text: &str| text.parse().expect("the test's own tokens");
        let expanded = expand(kind, tokens(options), tokens(function)).to_string();
        let (_, said) = expanded
            .split_once("compile_error")
            .expect("it does not compile");
        said.to_owned()
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (kind, options, function, said) in [
            (Kind::Tool, "", "fn f(&self) {}", "a function"),
            (Kind::Tool, "", "fn f(text: &str) {}", "without `&`"),
            (Kind::Tool, "", "fn f(cx: &Cx) {}", "without `&`"),
            (Kind::Tool, "", "fn f((a, b): (u8, u8)) {}", "not a pattern"),
            (Kind::Tool, "", "fn f<T>(of: T) {}", "generic"),
            (Kind::Tool, "", "fn f(of: impl Into<String>) {}", "generic"),
            (
                Kind::Tool,
                "",
                "fn f(#[args] a: A, #[args] b: B) {}",
                "only one",
            ),
            (Kind::Tool, "", "fn f(#[args] a: A, b: u8) {}", "`#[args]`"),
            (Kind::Tool, "", "fn f(#[args] #[state] a: A) {}", "either"),
            (Kind::Tool, "title", "fn f() {}", "expected `=`"),
            (Kind::Tool, "\"f\"", "fn f() {}", "expected identifier"),
            (Kind::Tool, "", "struct F;", "expected `fn`"),
            (
                Kind::Tool,
                "",
                "fn f(#[cfg(unix)] a: u8) {}",
                "two functions",
            ),
            (
                Kind::Tool,
                "",
                "fn f(a: Cx, b: mcp_server::Cx) {}",
                "one `Cx`",
            ),
            (Kind::Resource, "", "fn f() {}", "a URI"),
            (
                Kind::Resource,
                "uri = \"a://b\"",
                "fn f() {}",
                "`#[resource(\\\"weather://{city}\\\")]`",
            ),
        ] {
            let message = fault(kind, options, function);
            assert!(message.contains(said), "{function}: {message}");
        }
    }

    #[test]
    fn every_fault_of_the_parameters_is_said_at_once() {
        let message = fault(Kind::Tool, "", "fn f(a: &str, (b, c): B) {}");
        assert!(
            message.contains("without `&`") && message.contains("pattern"),
            "{message}"
        );
    }

    #[test]
    fn what_is_for_the_attribute_alone_goes() {
        let function =
            "fn f(#[state] s: S, #[serde(default)] #[doc = \"x\"] #[allow(unused)] a: u8) {}";
        let function = function.parse().expect("the test's own tokens");
        let expanded = expand(Kind::Tool, TokenStream::new(), function).to_string();
        let (function, _) = expanded.split_once('}').expect("the function comes first");
        assert_eq!(
            function.trim(),
            "fn f (s : S , # [allow (unused)] a : u8) {"
        );
    }
}
