"""Checks the Bicep files offline, as far as that goes without Microsoft's compiler: syntax, names, modules, parameters.

    check-bicep.py infra/azure/main.bicep infra/azure/main.bicepparam

With BICEP_TYPES, a directory that holds the published types (`generated/` of github.com/Azure/bicep-types-az), every property of
every resource is held against the type of its API version as well. Prints each fault with its place; exit code 1 for any.
"""

import json
import os
import pathlib
import re
import sys

import tree_sitter
import tree_sitter_bicep

PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))
REQUIRED, READ_ONLY = 1, 2
faults = []


def fault(path, node, text):
    faults.append(f"{path}:{node.start_point[0] + 1}: {text}")


def walk(node):
    yield node
    for child in node.children:
        yield from walk(child)


def text(node):
    return node.text.decode()


def named(node, *types):
    return [child for child in node.children if child.type in types]


def plain(node):
    """A string without interpolation, else None."""
    if node.type == "string" and not any(child.type == "interpolation" for child in node.children):
        return "".join(text(child) for child in named(node, "string_content"))
    return None


def properties(node):
    """Name, value and place of each property whose name is written out."""
    for prop in named(node, "object_property"):
        parts = [child for child in prop.children if child.is_named and child.type != "comment"]
        if len(parts) == 2:
            yield (plain(parts[0]) if parts[0].type == "string" else text(parts[0])), parts[1]


class File:
    """A parsed file with what it declares."""

    def __init__(self, path, source=None):
        self.path = path
        self.root = PARSER.parse(path.read_bytes() if source is None else source).root_node
        self.declared = {}
        for node in walk(self.root):
            if node.type == "ERROR" or node.is_missing:
                fault(path, node, f"syntax: {text(node)[:60]!r}")
            if node.type.endswith("_declaration"):
                identifier = named(node, "identifier")[0]
                name = text(identifier)
                # A child resource is known below its parent, an output to nobody here.
                if name in self.declared and node.type != "output_declaration":
                    fault(path, node, f"{name} is declared twice")
                kind = node.type.removesuffix("_declaration")
                if kind == "output":
                    name = f"output {name}"
                self.declared[name] = (kind, node)

    def of(self, kind):
        return {name.removeprefix("output "): node for name, (found, node) in self.declared.items() if found == kind}

    def needed(self):
        """Parameters without a default: those with nothing behind their type."""
        return {name for name, node in self.of("parameter").items() if node.children[-1].type == "type"}

    def names(self):
        """Every name that is used is declared, and the reverse."""
        used = set()
        for node in walk(self.root):
            if node.type != "identifier" or not self.is_use(node):
                continue
            name = text(node)
            used.add(name)
            if name not in self.declared and name not in locals_of(node):
                fault(self.path, node, f"{name} is not declared")
        for name, (kind, node) in self.declared.items():
            if kind in ("parameter", "variable") and name not in used:
                fault(self.path, node, f"{name} is not used")

    @staticmethod
    def is_use(node):
        parent = node.parent
        first = next(child for child in parent.children if child.is_named)
        if parent.type == "object_property" or parent.type.endswith("_declaration"):
            return node != first
        if parent.type in ("for_statement", "lambda_expression"):
            return node != first
        if parent.type == "parenthesized_expression" and parent.parent.type == "lambda_expression":
            return parent != next(child for child in parent.parent.children if child.is_named)
        if parent.type == "call_expression":
            return node != parent.child_by_field_name("function")
        if parent.type == "resource_expression":
            return node == parent.child_by_field_name("object")
        return parent.type not in ("decorator", "type", "primitive_type")


def locals_of(node):
    """Names that loops and lambdas around a node give."""
    found = set()
    while node := node.parent:
        if node.type in ("for_statement", "lambda_expression"):
            first = next(child for child in node.children if child.is_named)
            found |= {text(one) for one in walk(first) if one.type in ("identifier", "loop_variable", "loop_enumerator")}
    return found


def body(node):
    """The object of a declaration, whether it is conditional or a loop."""
    for child in reversed(node.children):
        if child.type == "object":
            return child
        if child.type in ("if_statement", "for_statement"):
            return body(child)
    return None


def modules(file, known):
    for name, node in file.of("module").items():
        path = (file.path.parent / plain(named(node, "string")[0])).resolve()
        module = known.setdefault(path, None) or File(path)
        known[path] = module
        given = dict(properties(dict(properties(body(node)))["params"]))
        for missing in sorted(module.needed() - given.keys()):
            fault(file.path, node, f"{name} is not given {missing}")
        for unknown in sorted(given.keys() - module.of("parameter").keys()):
            fault(file.path, given[unknown], f"{name} has no parameter {unknown}")
        for used in re.finditer(rf"\b{name}\.outputs\.(\w+)", text(file.root)):
            if used[1] not in module.of("output"):
                fault(file.path, node, f"{name} has no output {used[1]}")
        modules(module, known)


def decorated(file):
    """Who deploys reads the description of a parameter before its name."""
    for name, node in file.of("parameter").items():
        before = node.prev_named_sibling
        words = []
        while before is not None and before.type in ("decorators", "comment"):
            words.append(text(before))
            before = before.prev_named_sibling
        if "@description(" not in "".join(words):
            fault(file.path, node, f"{name} has no @description")


def parameters(path, main):
    source = path.read_bytes()
    using = re.search(rb"^using '([^']+)'$", source, re.MULTILINE)
    if not using or (path.parent / using[1].decode()).resolve() != main.path.resolve():
        faults.append(f"{path}: it does not say `using` {main.path}")
    # The grammar knows no parameter files: their assignments read like variables.
    assigned = re.sub(rb"^param (\w+) =", rb"var \1 =", re.sub(rb"^using .*$", b"", source, flags=re.MULTILINE), flags=re.M)
    file = File(path, assigned)
    # What stands there as an example must be right as well.
    example = re.findall(r"^// param (\w+) =", source.decode(), re.MULTILINE)
    for name in [*file.of("variable"), *example]:
        if name not in main.of("parameter"):
            faults.append(f"{path}: {name} is no parameter")
    for name in sorted(main.needed() - file.of("variable").keys()):
        faults.append(f"{path}: {name} is missing")


class Types:
    """The published types, by resource type and API version."""

    def __init__(self, directory):
        self.files = {}
        for path in pathlib.Path(directory).rglob("types.json"):
            self.files.setdefault((path.parent.parent.name.lower(), path.parent.name.lower()), []).append(path)
        self.loaded = {}

    def resource(self, kind, version):
        for path in self.files.get((kind.split("/")[0].lower(), version.lower()), []):
            if path not in self.loaded:
                self.loaded[path] = json.loads(path.read_text())
            table = self.loaded[path]
            for entry in table:
                if entry["$type"] == "ResourceType" and entry["name"].lower() == f"{kind}@{version}".lower():
                    return table, entry["body"]
        return None

    def check(self, file, node, table, ref, place):
        entry = table[int(ref["$ref"][2:])]
        if node.type == "parenthesized_expression":
            node = next(child for child in node.children if child.is_named)
        if node.type == "ternary_expression":
            for arm in [child for child in node.children if child.is_named and child.type != "comment"][1:]:
                self.check(file, arm, table, ref, place)
        elif node.type == "object" and entry["$type"] in ("ObjectType", "DiscriminatedObjectType"):
            self.object(file, node, table, entry, place)
        elif node.type == "object" and entry["$type"] in ("StringType", "BooleanType", "IntegerType", "ArrayType"):
            fault(file.path, node, f"{place}: an object, not {entry['$type']}")
        elif node.type == "array" and entry["$type"] == "ArrayType":
            for item in [child for child in node.children if child.is_named and child.type != "comment"]:
                self.check(file, item, table, entry["itemType"], place)
        elif node.type == "for_statement" and entry["$type"] == "ArrayType":
            if (item := body(node)) is not None:
                self.check(file, item, table, entry["itemType"], place)
        elif (value := plain(node)) is not None:
            self.word(file, node, table, entry, value, place)
        elif node.type in ("boolean", "number") and entry["$type"] in ("StringType", "StringLiteralType", "ObjectType"):
            fault(file.path, node, f"{place}: {text(node)}, not {entry['$type']}")

    def word(self, file, node, table, entry, value, place):
        elements = [table[int(one["$ref"][2:])] for one in entry.get("elements", [])] if entry["$type"] == "UnionType" else [entry]
        if entry["$type"] in ("BooleanType", "IntegerType", "ArrayType", "ObjectType"):
            fault(file.path, node, f"{place}: text, not {entry['$type']}")
        literal = [one["value"] for one in elements if one["$type"] == "StringLiteralType"]
        free = any(one["$type"] in ("StringType", "AnyType") for one in elements)
        # Azure takes a word in any case; what it does not know at all is wrong.
        if literal and not free and value.lower() not in (one.lower() for one in literal):
            fault(file.path, node, f"{place}: {value!r} is none of {literal}")

    @staticmethod
    def of(entry, table, given):
        """The properties of an object, with those that its discriminator brings."""
        if entry["$type"] != "DiscriminatedObjectType":
            return entry.get("properties", {})
        word = plain(given[entry["discriminator"]]) if entry["discriminator"] in given else None
        kind = entry["elements"].get(word)
        return entry["baseProperties"] | (table[int(kind["$ref"][2:])]["properties"] if kind else {})

    def object(self, file, node, table, entry, place):
        given = dict(properties(node))
        known = self.of(entry, table, given)
        more = entry.get("additionalProperties")
        for name, value in given.items():
            if name in known:
                if known[name]["flags"] & READ_ONLY and not known[name]["flags"] & REQUIRED:
                    fault(file.path, value, f"{place}.{name} cannot be set")
                self.check(file, value, table, known[name]["type"], f"{place}.{name}")
            elif name is not None and not more:
                fault(file.path, value, f"{place} has no {name}")
        for name, facts in known.items():
            if facts["flags"] & REQUIRED and not facts["flags"] & READ_ONLY and name not in given:
                fault(file.path, node, f"{place} needs {name}")


def resources(file):
    """Every resource with its full type, its version and its body."""
    for node in file.of("resource").values():
        own = plain(named(node, "string")[0])
        parts, version, above = [], None, node
        while above is not None:
            if above.type == "resource_declaration":
                kind, _, at = plain(named(above, "string")[0]).partition("@")
                parts.insert(0, kind)
                version = version or at
            above = above.parent
        if not version:
            fault(file.path, node, f"{own} has no version")
        yield "/".join(parts), version, node


def typed(file, types):
    for kind, version, node in resources(file):
        found = types.resource(kind, version)
        if found is None:
            fault(file.path, node, f"{kind}@{version} is not published")
        elif not any(child.type == "existing" or text(child) == "existing" for child in node.children):
            table, ref = found
            entry = table[int(ref["$ref"][2:])]
            # What Bicep gives of its own accord, or takes beside the document itself.
            own = {"name", "id", "type", "apiVersion", "scope", "dependsOn", "parent"}
            given = {name: value for name, value in properties(body(node)) if name not in own}
            known = types.of(entry, table, dict(properties(body(node))))
            for name, value in given.items():
                if name not in known:
                    fault(file.path, value, f"{kind} has no {name}")
                else:
                    types.check(file, value, table, known[name]["type"], f"{kind}.{name}")
            for name, facts in known.items():
                if facts["flags"] & REQUIRED and not facts["flags"] & READ_ONLY and name not in given and name not in own:
                    fault(file.path, node, f"{kind} needs {name}")


def main(arguments):
    main_file = File(pathlib.Path(arguments[0]).resolve())
    known = {main_file.path: main_file}
    modules(main_file, known)
    decorated(main_file)
    for file in known.values():
        file.names()
    there = {path.resolve() for path in main_file.path.parent.rglob("*.bicep")}
    for unused in sorted(there - known.keys()):
        faults.append(f"{unused}: no module of {main_file.path.name}")
    for path in arguments[1:]:
        parameters(pathlib.Path(path), main_file)
    directory = os.environ.get("BICEP_TYPES")
    count = sum(1 for file in known.values() for _ in resources(file))
    if directory:
        types = Types(directory)
        for file in known.values():
            typed(file, types)
    for one in faults:
        print(one)
    if not faults:
        said = "each as its published type says" if directory else "skipped: their types, without BICEP_TYPES"
        print(f"{len(known)} Bicep files, {count} resources ({said}), {len(main_file.of('parameter'))} parameters")
    return 1 if faults else 0


sys.exit(main(sys.argv[1:]))
