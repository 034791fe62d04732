// What may a certificate say? The table of ledger/certificate_fields.py; a test holds one against the other.

export const FIELDS = [
  {"key": 1, "name": "version", "type": "integer", "low": 1, "high": 1, "of": "both", "always": true, "absent": null},
  {"key": 2, "name": "cell", "type": "integer", "low": 0, "high": 9007199254740991, "of": "square", "always": true, "absent": null},
  {"key": 3, "name": "section", "type": "integer", "low": 1, "high": 9007199254740991, "of": "section", "always": true, "absent": null},
  {"key": 4, "name": "lat_e7", "type": "integer", "low": -840000000, "high": 840000000, "of": "both", "always": true, "absent": null},
  {"key": 5, "name": "lon_e7", "type": "integer", "low": -1800000000, "high": 1800000000, "of": "both", "always": true, "absent": null},
  {"key": 6, "name": "extent_m", "type": "integer", "low": 1, "high": 65535, "of": "both", "always": true, "absent": null},
  {"key": 7, "name": "colour", "type": "integer", "low": 0, "high": 3, "of": "both", "always": true, "absent": null},
  {"key": 8, "name": "state", "type": "integer", "low": 0, "high": 2, "of": "square", "always": false, "absent": 0},
  {"key": 9, "name": "kind", "type": "integer", "low": 0, "high": 18, "of": "square", "always": false, "absent": null},
  {"key": 10, "name": "severity", "type": "integer", "low": 0, "high": 255, "of": "square", "always": false, "absent": 0},
  {"key": 11, "name": "seen", "type": "integer", "low": 0, "high": 262143, "of": "square", "always": false, "absent": 0},
  {"key": 12, "name": "flags", "type": "integer", "low": 0, "high": 255, "of": "square", "always": false, "absent": 0},
  {"key": 13, "name": "day", "type": "integer", "low": 18262, "high": 47481, "of": "both", "always": true, "absent": null},
  {"key": 14, "name": "origin", "type": "integer", "low": 1, "high": 7, "of": "both", "always": true, "absent": null},
  {"key": 15, "name": "log_size", "type": "integer", "low": 1, "high": 9007199254740991, "of": "both", "always": false, "absent": null},
  {"key": 16, "name": "log_index", "type": "integer", "low": 0, "high": 9007199254740991, "of": "square", "always": false, "absent": null},
  {"key": 17, "name": "known_pct", "type": "integer", "low": 0, "high": 100, "of": "section", "always": true, "absent": null},
  {"key": 18, "name": "name", "type": "text", "low": 1, "high": 48, "of": "section", "always": false, "absent": ""},
];
