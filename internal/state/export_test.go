package state

// Heard lets tests dial with a silence of their own, which is an hour otherwise.
var Heard = heard

// Unanswered tells tests whether an error counts as an absence of the database.
var Unanswered = unanswered
