"""An attack on our own public answers: who reads all that is told of phones, can he say where one of them lives?"""
