// Package strictjson reads JSON that comes with a model file. encoding/json is
// too kind for that: it keeps the last of two equal keys, matches keys whatever
// their case, replaces invalid UTF-8 and lone surrogates, and has no limit on
// what a small text makes it allocate. Two readers that disagree about one file
// is how a check is passed by. Here every one of these is an *Error with the
// offset of the byte it is about.
//
// What always holds:
//   - the text is UTF-8 without a byte order mark, and nothing but white space
//     follows its value;
//   - no object has a key twice, "a" and "\u0061" being the same key;
//   - depth, values and members of one object are bounded by Limits, and memory
//     by those and the length of the text;
//   - numbers stay text until somebody asks for an integer or a float, so that
//     1.0 and 1e3 are never taken for integers and 2⁶³ is never rounded.
//
// Keys that differ only in case are different keys here, as JSON has it. A
// reader that knows which keys it wants refuses their other spellings with
// SameFold.
//
// Scanner reads a large text without building anything; Parse builds a tree of
// a small one.
package strictjson
