"""Reading tar archives in place: headers, fields, walks."""
