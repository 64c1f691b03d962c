<?php

// Whether a file says nothing that PHP 7.4 does not know: old_php.php FILE. Writes what that is.

$file = $argv[1];
$code = file_get_contents($file);
$tokens = array_values(array_filter(PhpToken::tokenize($code), fn ($token) => !$token->isIgnorable()));
$new = ['T_MATCH', 'T_NULLSAFE_OBJECT_OPERATOR', 'T_ATTRIBUTE', 'T_ENUM', 'T_READONLY', 'T_NAME_QUALIFIED', 'T_NAME_FULLY_QUALIFIED'];
$functions = ['str_contains', 'str_starts_with', 'str_ends_with', 'get_debug_type', 'get_resource_id', 'fdiv', 'preg_last_error_msg',
    'array_is_list', 'fsync', 'fdatasync', 'json_validate', 'mb_str_pad', 'str_increment', 'array_find', 'array_any', 'array_all', 'array_find_key'];
foreach ($tokens as $i => $token) {
    $next = $tokens[$i + 1] ?? null;
    $before = $tokens[$i - 1] ?? null;
    if (in_array($token->getTokenName(), $new, true) || (in_array($token->text, $functions, true) && $next?->text === '(')) {
        echo "$token->line: $token->text\n";
    }
    // f(name: 1); a label of a switch or a ternary has another token before it.
    if ($token->is(T_STRING) && $next?->text === ':' && in_array($before?->text, ['(', ','], true)) {
        echo "$token->line: the argument $token->text has a name\n";
    }
    // throw as an expression.
    if ($token->is(T_THROW) && !in_array($before?->text, ['{', '}', ';'], true)) {
        echo "$token->line: throw\n";
    }
    // catch (E) without a variable.
    if ($token->is(T_CATCH) && $tokens[$i + 3]?->text === ')') {
        echo "$token->line: catch\n";
    }
}
require $file;
foreach (array_filter(get_declared_classes(), fn ($name) => (new ReflectionClass($name))->getFileName() === realpath($file)) as $class) {
    foreach ((new ReflectionClass($class))->getMethods() as $method) {
        $types = [$method->getReturnType(), ...array_map(fn ($parameter) => $parameter->getType(), $method->getParameters())];
        foreach (array_filter($types) as $type) {
            if (!$type instanceof ReflectionNamedType || in_array($type->getName(), ['mixed', 'never', 'static', 'null', 'false', 'true'], true)) {
                echo "$class::$method->name: $type\n";
            }
        }
        foreach ($method->getParameters() as $parameter) {
            if ($parameter->isPromoted()) {
                echo "$class::$method->name: \${$parameter->name}\n";
            }
        }
    }
}
