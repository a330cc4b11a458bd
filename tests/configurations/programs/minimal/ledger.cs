using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;

namespace Ledger;

public enum Kind
{
    Deposit,
    Withdrawal,
    Interest,
}

public sealed record Entry(int Day, Kind Kind, decimal Amount, string? Note = null);

public sealed class OverdrawnException(string account, decimal missing)
    : InvalidOperationException($"{account} lacks {missing.ToString(CultureInfo.InvariantCulture)}")
{
    public decimal Missing { get; } = missing;
}

public abstract class Account(string name) : IComparable<Account>
{
    private readonly List<Entry> entries = [];

    public event Action<Account, Entry>? Booked;

    public string Name { get; } = name;

    public decimal Balance { get; private set; }

    public IReadOnlyList<Entry> Entries => entries;

    public virtual decimal Limit => 0;

    public void Book(Entry entry)
    {
        var change = entry switch
        {
            { Kind: Kind.Withdrawal, Amount: > 0 } => -entry.Amount,
            { Amount: < 0 } => throw new ArgumentOutOfRangeException(nameof(entry), entry.Amount, "negative"),
            _ => entry.Amount,
        };
        if (Balance + change < -Limit)
        {
            throw new OverdrawnException(Name, -(Balance + change + Limit));
        }

        Balance += change;
        entries.Add(entry);
        Booked?.Invoke(this, entry);
    }

    public int CompareTo(Account? other) => other is null ? 1 : Balance.CompareTo(other.Balance);
}

public sealed class Giro(string name, decimal limit) : Account(name)
{
    public override decimal Limit { get; } = limit;
}

public sealed class Savings(string name) : Account(name);

/// <summary>Books what the payload's numbers say, and prints statements.</summary>
public sealed class Program : MinimalRuntime.IFunctionHandler
{
    public byte[] Execute(ReadOnlySpan<byte> input)
    {
        var text = new StringBuilder();
        var accounts = new Dictionary<string, Account>
        {
            ["giro"] = new Giro("giro", 500m),
            ["savings"] = new Savings("savings"),
        };
        var booked = 0;
        foreach (var account in accounts.Values)
        {
            account.Booked += (_, _) => booked++;
        }

        accounts["giro"].Book(new Entry(0, Kind.Deposit, 1000.50m));
        for (var i = 0; i < input.Length; i++)
        {
            var account = accounts[i % 3 == 0 ? "savings" : "giro"];
            var amount = input[i] * 1.07m / 3;
            try
            {
                account.Book(new Entry(i, (Kind)(input[i] % 3), decimal.Round(amount, 2), $"#{i:D3}"));
            }
            catch (OverdrawnException e) when (e.Missing < 50)
            {
                account.Book(new Entry(i, Kind.Interest, e.Missing + 1));
                text.Append(e.Message).Append(';');
            }
            catch (InvalidOperationException e)
            {
                text.Append('!').Append(e.Message).Append(';');
            }
            finally
            {
                booked += 100;
            }
        }

        var sorted = new List<Account>(accounts.Values);
        sorted.Sort();
        foreach (var account in sorted)
        {
            text.AppendLine().Append(CultureInfo.InvariantCulture, $"{account.Name,-10}|{account.Balance,12:N2}|{account.Entries.Count:x}");
            decimal running = 0;
            foreach (var (day, kind, amount, note) in account.Entries)
            {
                running += kind == Kind.Withdrawal ? -amount : amount;
                text.Append(' ').Append(day).Append(kind).Append('=').Append(running.ToString("0.##", CultureInfo.InvariantCulture)).Append(note ?? "-");
            }
        }

        try
        {
            accounts["giro"].Book(new Entry(1, Kind.Deposit, -1));
        }
        catch (ArgumentOutOfRangeException e)
        {
            text.AppendLine().Append(e.Message);
        }

        try
        {
            _ = accounts["lost"];
        }
        catch (KeyNotFoundException e)
        {
            text.AppendLine().Append(e.Message);
        }

        return Encoding.UTF8.GetBytes(text.Append(booked).ToString());
    }
}
